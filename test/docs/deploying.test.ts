// What the files for platforms name is there: commands, environment, files. docs/deploying.md describes them. The image and
// the compose file have tests of their own: test/deploy.
import { describe, expect, test } from '@jest/globals'
import { readdir, readFile } from 'node:fs/promises'
import { envNames, parseConfig } from '../../src/config/config.ts'
import { runCli } from '../cli/run-cli.ts'

const ROOT = new URL('../../', import.meta.url)
const read = (path: string): Promise<string> => readFile(new URL(path, ROOT), 'utf8')

const units = (await readdir(new URL('deploy/systemd/', ROOT))).map((name) => `deploy/systemd/${name}`)
const files = ['Procfile', ...units]

test('app.json names only what is read, and what it sets is valid', async () => {
  const { env, buildpacks } = JSON.parse(await read('app.json')) as {
    env: Record<string, { description: string; value?: string }>
    buildpacks: unknown[]
  }
  const names = Object.keys(env).filter((name) => name !== 'NODE_OPTIONS')
  expect(names.filter((name) => !(envNames() as readonly string[]).includes(name))).toEqual([])
  const set = Object.fromEntries(names.map((name) => [name, env[name]?.value]))
  expect(() =>
    parseConfig({ ...set, DASHBOARD_PASSWORD: 'generated', METRICS_TOKEN: 'generated'.repeat(2) }, []),
  ).not.toThrow()
  expect(buildpacks).toHaveLength(1)
})

describe('commands', () => {
  /** `node dist/cli.js <command> <flags>` wherever it stands; the unit for both processes says %i. */
  const commandsIn = (text: string): string[] =>
    [...text.matchAll(/node dist\/cli\.js ([a-z][^\n`&"]*)/g)].map(([, command = '']) => command.trim())

  test.each(files)('of %s are right: what they lack is the environment', async (file) => {
    for (const command of commandsIn(await read(file))) {
      const { code, stderr } = await runCli(command.split(' '))
      expect([command, code, stderr]).toEqual([
        command,
        2,
        expect.stringContaining('DATABASE_URL is required'),
      ])
    }
  })

  test('are found', async () => {
    const found = await Promise.all(files.map(async (file) => commandsIn(await read(file))))
    expect(new Set(found.flat())).toEqual(
      new Set([
        'migrate',
        'web',
        'worker',
        'prune --older-than 90d --content-only',
        'prune --older-than 400d',
      ]),
    )
  })
})

test('no command of the guides has a secret among its arguments', async () => {
  const guides = await Promise.all(
    ['docs/deploying.md', 'docs/security.md', 'docs/operations.md', 'README.md'].map(read),
  )
  const commands = guides.flatMap((guide) =>
    [...guide.matchAll(/^```sh\n(.*?)^```/gms)].map(([, text = '']) => text),
  )
  expect(commands.join('')).toContain('heroku config:set')
  const secrets = /(AUTH_TOKEN|SECRET|PASSWORD|METRICS_TOKEN|DATABASE_URL)=\S/
  expect(commands.filter((command) => secrets.test(command))).toEqual([])
})

test('the units are alike in what they are kept from', async () => {
  const hardening = await Promise.all(
    units
      .filter((unit) => unit.endsWith('.service'))
      .map(async (unit) => /^# No MemoryDenyWriteExecute(?:.+\n)+/m.exec(await read(unit))?.[0].trim()),
  )
  expect(hardening[0]).toMatch(/NoNewPrivileges/)
  expect(new Set(hardening).size).toBe(1)
})
