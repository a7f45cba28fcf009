// Holds README.md and docs/reference.md to their word: their commands and their code do what they say.
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parseEnv, promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { parseConfig } from '../../src/config/config.ts'
import { runCli } from '../cli/run-cli.ts'
import { waitFor } from '../support/wait-for.ts'
import { startWorld, type World } from '../support/world.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const readme = await readFile(`${ROOT}/README.md`, 'utf8')
const reference = await readFile(`${ROOT}/docs/reference.md`, 'utf8')

/** The contents of the fenced blocks in that language. */
const blocks = (page: string, language: string): string[] =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(([, text = '']) => text)

test('the README stays within 250 lines and 1,800 words', () => {
  expect(readme.split('\n').length).toBeLessThanOrEqual(250)
  expect(readme.split(/\s+/).length).toBeLessThanOrEqual(1800)
})

test('every npm script that the README names exists', async () => {
  const { scripts } = JSON.parse(await readFile(`${ROOT}/package.json`, 'utf8')) as {
    scripts: Record<string, string>
  }
  const named = [...readme.matchAll(/npm (?:run )?(test|demo|bench|[a-z-]+:[a-z-]+)\b/g)].map(
    ([, name = '']) => name,
  )
  expect(new Set(named)).toEqual(new Set(['demo', 'test']))
  for (const name of named) expect(scripts).toHaveProperty(name)
})

test('the settings in the README are complete', () => {
  const [settings = ''] = blocks(readme, 'ini')
  const required = [
    'DATABASE_URL',
    'PUBLIC_BASE_URL',
    'TWILIO_ACCOUNT_SID',
    'TWILIO_AUTH_TOKEN',
    'sender',
  ] as const
  expect(parseConfig(parseEnv(settings), required)).toMatchObject({
    publicBaseUrl: 'http://127.0.0.1:3000',
    port: 3000,
    twilio: { apiBaseUrl: 'http://127.0.0.1:4010' },
  })
})

describe('against a simulator', () => {
  let world: World
  let env: Record<string, string>

  beforeAll(async () => {
    world = await startWorld()
    await world.startWorker()
    env = world.env
  })

  afterAll(() => world.stop())

  test('every command in the README and the reference exists, with its flags', async () => {
    const commands = [...`${readme}${reference}`.matchAll(/(?:`|npx )sms-retry ([a-z]+)([^\n`|]*)/g)].map(
      ([, name = '', rest = '']) => ({ name, flags: rest.match(/--[a-z-]+/g) ?? [] }),
    )
    const names = new Set(commands.map(({ name }) => name))
    expect(names.size).toBeGreaterThan(10)
    const help = new Map<string, string>()
    for (const name of names) {
      const { code, stdout } = await runCli([name, '--help'])
      expect([name, code, stdout]).toEqual([name, 0, expect.stringContaining(`Usage: sms-retry ${name}`)])
      help.set(name, stdout)
    }
    for (const { name, flags } of commands)
      for (const flag of flags) expect(help.get(name)).toMatch(new RegExp(`${flag}\\b`))
  })

  /** The arguments of the command that begins so, as a shell splits them. */
  function argumentsOf(start: string): string[] {
    const [, words = ''] =
      new RegExp(`npx sms-retry (${start.replaceAll('+', '\\+')}[^\`\n]*)`).exec(readme) ?? []
    return (words.match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replaceAll('"', ''))
  }

  test('the commands for real Twilio migrate, send and list', async () => {
    expect(await runCli(['migrate'], env)).toMatchObject({ code: 0 })
    expect(await runCli(argumentsOf('send --to +1206'), env)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^message \d+: accepted SM/),
    })
    expect((await runCli(['list'], env)).stdout).toContain('STATUS')
    expect((await runCli(['stats'], env)).code).toBe(0)
  })

  test('the message that the README lets fail is delivered by its first retry', async () => {
    const { stdout } = await runCli(argumentsOf('send --to +1555'), env)
    // Accepted, or failed already: the callback may come before the answer.
    const [, id] = /^message (\d+): (?:accepted|retry_scheduled) SM/.exec(stdout) ?? []
    expect([stdout, id]).toEqual([stdout, expect.anything()])
    await waitFor('the retry to be delivered', async () => {
      const [row] = await world.database.query<{ status: string; retries: number }>(
        'select final_status as "status", retry_count as "retries" from sms_usage_logs where id = $1',
        [id],
      )
      return row?.status === 'delivered' && row.retries === 1
    })
  })

  test('the programs in the README send a message, and enqueue one in a transaction', async () => {
    const [send = '', enqueue = ''] = blocks(readme, 'js')
    const runProgram = (program: string) =>
      promisify(execFile)(
        process.execPath,
        ['--input-type=module', '--eval', program],
        // The package by its own name.
        { cwd: ROOT, env: { PATH: process.env['PATH'], ...env } },
      )
    const { stdout } = await runProgram(send)
    expect(stdout).toMatch(/\{\s+id: \d+,\s+status: 'accepted',\s+sid: 'SM\w+'\s+\}/)
    await runProgram(enqueue)
    await waitFor('both to be delivered', async () => {
      const rows = await world.database.query<{ status: string }>(
        `select final_status as "status" from sms_usage_logs
          where sms_metadata ->> 'idempotency_key' = 'order-1001-shipped' or message_content = 'Thank you'`,
      )
      return rows.length === 2 && rows.every(({ status }) => status === 'delivered')
    })
    expect(await world.database.query('select id from orders')).toEqual([{ id: 1001 }])
  })

  test('the policy in the README is valid', async () => {
    const [policy = ''] = blocks(readme, 'json')
    const file = `${ROOT}/node_modules/.cache/readme-policy.json`
    await writeFile(file, policy)
    const { code, stdout } = await runCli(['policy'], { RETRY_POLICY_FILE: file })
    expect(code).toBe(0)
    expect(stdout).toMatch(/^30004 +stop/m)
  })

  test('the queries for monitoring in the reference run', async () => {
    const [sql = ''] = blocks(reference, 'sql')
    const statements = sql.split(';\n').filter(Boolean)
    expect(statements).toHaveLength(2)
    for (const statement of statements) await world.database.query(statement)
  })
})
