// Holds the README to its word: its links lead somewhere, its commands and its code
// do what it says they do.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { runCli } from '../cli/run-cli.ts'
import { waitFor } from '../support/wait-for.ts'
import { startWorld, type World } from '../support/world.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const FILE = `${ROOT}/README.md`
const readme = await readFile(FILE, 'utf8')

/** The contents of the fenced blocks in that language. */
const blocks = (language: string): string[] =>
  [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(([, text = '']) => text)

test('its links to files lead somewhere', () => {
  const links = [...readme.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)].map(([, link = '']) => link)
  const files = links.filter((link) => !link.startsWith('https://'))
  expect(files.length).toBeGreaterThan(10)
  expect(files.filter((file) => !existsSync(`${ROOT}/${file}`))).toEqual([])
})

test('its headings are there for the links within documents', async () => {
  const links = [...readme.matchAll(/\]\(([^)#]+\.md)#([^)]+)\)/g)]
  for (const [, file = '', anchor = ''] of links) {
    const headings = (await readFile(`${ROOT}/${file}`, 'utf8')).match(/^#+ .*$/gm) ?? []
    const anchors = headings.map((heading) => heading.replace(/^#+ /, '').toLowerCase().replaceAll(' ', '-'))
    expect([file, anchors]).toEqual([file, expect.arrayContaining([anchor])])
  }
})

test('every npm script that it names is there', async () => {
  const { scripts } = JSON.parse(await readFile(`${ROOT}/package.json`, 'utf8')) as {
    scripts: Record<string, string>
  }
  const named = [...readme.matchAll(/npm (?:run )?(test|demo|bench|[a-z-]+:[a-z-]+)\b/g)].map(
    ([, name = '']) => name,
  )
  expect(new Set(named)).toEqual(new Set(['demo', 'test', 'bench']))
  for (const name of named) expect(scripts).toHaveProperty(name)
})

describe('against a simulator', () => {
  let world: World
  let env: Record<string, string>

  beforeAll(async () => {
    world = await startWorld()
    await world.startWorker()
    await world.database.query('create table orders (id text primary key)')
    env = world.env
  })

  afterAll(() => world.stop())

  test('every command that it names exists, with these flags', async () => {
    const commands = [...readme.matchAll(/(?:`|npx )sms-retry ([a-z]+)([^\n`|]*)/g)].map(
      ([, name = '', rest = '']) => ({ name, flags: rest.match(/--[a-z-]+/g) ?? [] }),
    )
    expect(new Set(commands.map(({ name }) => name)).size).toBeGreaterThan(10)
    for (const { name, flags } of commands) {
      const { code, stdout } = await runCli([name, '--help'])
      expect([name, code, stdout]).toEqual([name, 0, expect.stringContaining(`Usage: sms-retry ${name}`)])
      for (const flag of flags) expect([name, stdout]).toEqual([name, expect.stringContaining(flag)])
    }
  })

  test('the commands of the five steps do what they say', async () => {
    expect(await runCli(['migrate'], env)).toMatchObject({ code: 0 })
    const [, words = ''] = /`npx sms-retry (send [^`]+)`/.exec(readme) ?? []
    const args = (words.match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replaceAll('"', ''))
    expect(args).toContain('--to')
    const sent = await runCli(
      args.map((arg) => (arg.startsWith('+') ? '+12065550199' : arg)),
      env,
    )
    expect(sent).toMatchObject({ code: 0, stdout: expect.stringMatching(/^message \d+: accepted SM/) })
    expect((await runCli(['list'], env)).stdout).toContain('STATUS')
    expect((await runCli(['stats'], env)).code).toBe(0)
  })

  test('its code sends, and enqueues in a transaction', async () => {
    const [send = '', enqueue = ''] = blocks('ts')
    const program = `
      ${send}
      import pg from 'pg'
      const client = new pg.Client(process.env.DATABASE_URL)
      await client.connect()
      ${enqueue}
      await client.end()
      await sender.close()`
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '--eval', program.replaceAll('+15551234567', '+12065550199')],
      // The package by its own name.
      { cwd: ROOT, env: { PATH: process.env['PATH'], ...env } },
    )
    expect(stdout).toMatch(/\{\s+id: \d+,\s+status: 'accepted',\s+sid: 'SM\w+'\s+\}/)
    await waitFor('both to be delivered', async () => {
      const rows = await world.database.query<{ status: string; body: string }>(
        `select final_status as "status", message_content as "body" from sms_usage_logs
          where message_content in ('Your order has shipped', 'Thank you')`,
      )
      return rows.length === 2 && rows.every(({ status }) => status === 'delivered')
    })
  })

  test('its policy is a policy', async () => {
    const [policy = ''] = blocks('json')
    const file = `${ROOT}/node_modules/.cache/readme-policy.json`
    await writeFile(file, policy)
    const { code, stdout } = await runCli(['policy'], { RETRY_POLICY_FILE: file })
    expect(code).toBe(0)
    expect(stdout).toMatch(/^30004 +stop/m)
  })

  test('its queries for monitoring run', async () => {
    const [sql = ''] = blocks('sql')
    for (const statement of sql.split(';\n').filter(Boolean)) await world.database.query(statement)
  })
})
