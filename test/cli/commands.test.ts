// The commands on messages and policy: their output for people and as JSON, and their colours in a terminal. Wrong usage
// and failures are tested in program.test.ts. Needs dist/.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import { createTestDatabase } from '../support/database.ts'
import { startWorld, type World } from '../support/world.ts'
import { type Ended, runCli, runCliProcess, SEND, WORKING_NUMBER } from './run-cli.ts'

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))
const OPTED_OUT = '+15552161001'
const QUEUE_FULL = '+15552161109'

let world: World
let folder: string
beforeAll(async () => {
  world = await startWorld()
  folder = await mkdtemp(join(tmpdir(), 'sms-retry-cli-test-'))
})
afterAll(async () => {
  await world.stop()
  await rm(folder, { recursive: true })
})

/** Runs a command in the world's environment, with these changes. */
function run(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  return runCli(args, { ...world.env, ...env })
}

test('migrate prepares an empty database, and can be run again', async () => {
  const database = await createTestDatabase(null)
  const env = { DATABASE_URL: database.url }
  const first = await run(['migrate'], env)
  expect(first).toEqual({ code: 0, stdout: '', stderr: expect.stringMatching(/^Applied: 001-message-table/) })
  const again = await run(['migrate'], env)
  expect(again).toEqual({ code: 0, stdout: '', stderr: 'The schema is up to date.\n' })
  expect(await run(['list'], env)).toEqual({ code: 0, stdout: '', stderr: 'No messages match.\n' })
  expect(await run(['list', '--json'], env)).toEqual({ code: 0, stdout: '[]\n', stderr: '' })
  await database.drop()
})

describe('send', () => {
  test('prints id, status and sid of an accepted message', async () => {
    expect(await run([...SEND, WORKING_NUMBER])).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^message \d+: accepted SM[0-9a-f]{32}\n$/),
      stderr: '',
    })
  })

  test('prints a failed message on stdout and exits with 1', async () => {
    const { code, stdout } = await run([...SEND, OPTED_OUT])
    expect({ code, stdout }).toEqual({
      code: 1,
      stdout: expect.stringMatching(/^message \d+: failed 21610\n21610: The recipient has opted out .*\n$/),
    })
  })

  test('exits with 0 if a retry is scheduled', async () => {
    const { code, stdout } = await run([...SEND, QUEUE_FULL, '--json'])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toEqual({
      id: expect.any(Number),
      status: 'retry_scheduled',
      errorCode: 21611,
      nextRetryAt: expect.stringMatching(/Z$/),
    })
  })

  test('prints why nothing was submitted', async () => {
    const { code, stdout } = await run([...SEND, WORKING_NUMBER], { RECIPIENT_ALLOWLIST: '+4479*' })
    expect({ code, stdout }).toEqual({
      code: 1,
      stdout: expect.stringMatching(/^message \d+: failed\nThe recipient is not in RECIPIENT_ALLOWLIST\n$/),
    })
  })

  test('with the same idempotency key returns the same message', async () => {
    const keyed = [...SEND, WORKING_NUMBER, '--key', 'order-1', '--valid-for', '600', '--json']
    const [first, again] = [await run(keyed), await run(keyed)]
    const idOf = ({ stdout }: Ended): number => (JSON.parse(stdout) as { id: number }).id
    expect(idOf(again)).toBe(idOf(first))
    expect(await run([...keyed, '--body', 'Something else'])).toMatchObject({ code: 2, stdout: '' })
  })
})

describe('list and show', () => {
  let id: number
  beforeAll(async () => {
    const { stdout } = await run([...SEND, OPTED_OUT, '--json'])
    id = (JSON.parse(stdout) as { id: number }).id
  })

  test('list prints a table, newest first, with masked phone numbers', async () => {
    const { code, stdout, stderr } = await run(['list', '--limit', '2'])
    expect([code, stderr]).toEqual([0, ''])
    const [head, first, ...rest] = stdout.trimEnd().split('\n')
    expect(head?.split(/\s{2,}/)).toEqual(
      expect.arrayContaining(['ID', 'CREATED', 'USER', 'TO', 'STATUS', 'RETRIES', 'NEXT RETRY', 'REASON']),
    )
    expect(first).toMatch(new RegExp(`^${id} .*…1001 .*failed.*21610`))
    expect(rest).toHaveLength(1)
    expect(stdout).not.toContain(OPTED_OUT)
  })

  test('list --status lists only messages with that status', async () => {
    const { stdout } = await run(['list', '--status', 'failed', '--json'])
    const messages = JSON.parse(stdout) as { id: number; status: string }[]
    expect(messages[0]?.id).toBe(id)
    expect(new Set(messages.map(({ status }) => status))).toEqual(new Set(['failed']))
  })

  test('list --json prints the keys of show --json', async () => {
    const [listed] = JSON.parse((await run(['list', '--limit', '1', '--json'])).stdout) as object[]
    const { code, stdout, stderr } = await run(['show', `${id}`, '--json'])
    expect([code, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toEqual(listed)
    expect(listed).toEqual({
      id,
      userId: 7,
      to: OPTED_OUT,
      body: 'Hello',
      status: 'failed',
      success: false,
      reason: expect.stringContaining('opted out'),
      retryCount: 0,
      maxRetries: 3,
      nextRetryAt: null,
      sid: null,
      sendAfter: null,
      sendWindow: null,
      timeZone: null,
      deadline: null,
      processingTimeMs: expect.any(Number),
      createdAt: expect.stringMatching(/^\d{4}-.*Z$/),
      idempotencyKey: null,
      metadata: {},
      attempts: [
        expect.objectContaining({
          number: 0,
          status: 'failed',
          sid: null,
          errorCode: 21610,
          times: expect.anything(),
        }),
      ],
    })
  })

  test('show prints the facts and attempts of a message, without number and text', async () => {
    const { code, stdout, stderr } = await run(['show', `${id}`])
    expect([code, stderr]).toEqual([0, ''])
    for (const part of [
      /^Message +\d+$/m,
      /^Status +failed$/m,
      /^To +…1001$/m,
      /^Text +5 characters/m,
      /^Attempt 0: failed .*21610/m,
    ])
      expect(stdout).toMatch(part)
    expect(stdout).not.toContain('Hello')
    expect(stdout).not.toContain(OPTED_OUT)
  })

  test('show --show-content also prints phone number and text', async () => {
    const { code, stdout } = await runCliProcess(['show', `${id}`, '--show-content'], world.env)
    expect(code).toBe(0)
    expect(stdout).toMatch(new RegExp(`^To +\\${OPTED_OUT}$`, 'm'))
    expect(stdout).toMatch(/^Text +Hello$/m)
  })

  test('show prints the next step, and during a pause that a due message waits', async () => {
    expect((await run(['show', `${id}`])).stdout).toMatch(/^Next step +Nothing: it failed for good/m)
    const inAnHour = new Date(Date.now() + 3_600_000).toISOString()
    const sent = await run([...SEND, WORKING_NUMBER, '--send-after', inAnHour, '--json'])
    const later = (JSON.parse(sent.stdout) as { id: number }).id
    const nextStep = async (): Promise<string | undefined> =>
      /^Next step +(.*)$/m.exec((await run(['show', `${later}`])).stdout)?.[1]
    expect(await nextStep()).toMatch(/^The first attempt is due: [-\d]{10} [:\d]{8}$/)
    const { database } = world
    await database.query('update sms_usage_logs set next_retry_at = now() where id = $1', [later])
    await database.query(
      `update sms_retry.account_state set paused_since = now(), paused_by = 'Ann', paused_reason = 'Wrong text'`,
    )
    expect(await nextStep()).toBe('The first attempt waits. Sending is paused: Wrong text')
    await database.query('update sms_retry.account_state set paused_since = null')
    expect(await nextStep()).toBe('The first attempt is due: a worker makes it as soon as it can')
  })

  test('show exits with 1 if the message does not exist', async () => {
    for (const flags of [[], ['--json']]) {
      const { code, stdout, stderr } = await run(['show', '999999', ...flags])
      expect({ code, stdout, stderr }).toEqual({
        code: 1,
        stdout: '',
        stderr: 'Message 999999 does not exist.\n',
      })
    }
  })
})

describe('send with times', () => {
  const args = ['send', '--to', '+12065550199', '--body', 'Hello', '--user', '7']

  test('records the message for later, and says when it is due', async () => {
    const at = new Date(Date.now() + 3_600_000).toISOString()
    const flags = ['--send-after', at, '--send-window', '22:00-06:00', '--time-zone', 'Asia/Tokyo']
    const { code, stdout } = await run([...args, ...flags])
    expect(code).toBe(0)
    expect(stdout).toMatch(
      /^message \d+: retry_scheduled \(next attempt at [-\d]{10} [:\d]{8}\)\nThe app asked for a later time \(sendAfter\)/,
    )
    const [, id = ''] = /^message (\d+)/.exec(stdout) ?? []
    const shown = JSON.parse((await run(['show', id, '--json'])).stdout) as object
    expect(shown).toMatchObject({
      status: 'pending',
      sendAfter: at,
      sendWindow: { from: '22:00', to: '06:00' },
      timeZone: 'Asia/Tokyo',
    })
    const facts = (await run(['show', id])).stdout
    expect(facts).toMatch(/^Send after +[-\d]{10} [:\d]{8}$/m)
    expect(facts).toMatch(/^Send window +22:00-06:00 in Asia\/Tokyo$/m)
  })

  test.each([
    ['--send-after', 'tomorrow'],
    ['--send-after', '2027-03-01T17:00:00'],
    ['--send-window', '8-21'],
    ['--send-window', '08:00-24:00'],
  ])('%s %s exits with 2', async (flag, value) => {
    const { code, stderr } = await run([...args, flag, value])
    expect(code).toBe(2)
    expect(stderr).toContain(flag)
  })
})

describe('policy', () => {
  test('needs no environment, and prints the delays of each code', async () => {
    const { code, stdout, stderr } = await runCli(['policy'])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^30003 +2 +5 min, 10 min +\S/m)
    expect(stdout).toMatch(/^21610 +stop +\S/m)
    expect(stdout).toMatch(/^other +2 +2 min, 4 min +\S/m)
    expect(stdout).toMatch(/^63038 +3 +1 d, 1 d, 1 d +\S/m)
    // Midnight in Los Angeles, in summer or in winter.
    const next = '\\(next \\d{4}-\\d\\d-\\d\\d 0[78]:00 UTC\\)'
    expect(stdout).toMatch(new RegExp(`^30023 +2 +00:00 America/Los_Angeles ${next} +\\S`, 'm'))
    expect(stdout).toMatch(/^Retries at a time of day start up to 6 min after that time\.$/m)
    expect(stdout).toMatch(/^30610 +3 +next send window +\S/m)
    expect(stdout).toMatch(
      /^The next send window opens at 08:00 at the recipient .*SEND_WINDOW is not set\)\.$/m,
    )
  })

  test('prints the send window that is set', async () => {
    const env = { SEND_WINDOW: '09:00-20:00', SEND_WINDOW_TIME_ZONE: 'Asia/Tokyo' }
    const { stdout } = await runCli(['policy'], env)
    expect(stdout).toMatch(/^The next send window opens at 09:00 in Asia\/Tokyo \(09:00-20:00\)\.$/m)
  })

  test('accepts a policy file with a byte order mark', async () => {
    const file = join(folder, 'marked.json')
    await writeFile(file, '\uFEFF{"codes": {"30003": "stop"}}')
    const { code, stdout, stderr } = await runCli(['policy'], { RETRY_POLICY_FILE: file })
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^30003 +stop /m)
  })

  test('--json prints every code once, with the overrides of the policy file', async () => {
    const file = join(folder, 'policy.json')
    await writeFile(file, '{"codes": {"30003": {"retries": 1, "baseDelaySeconds": 7}, "30004": "stop"}}')
    const { code, stdout } = await runCli(['policy', '--json'], { RETRY_POLICY_FILE: file })
    expect(code).toBe(0)
    const { codes, ...others } = JSON.parse(stdout) as { codes: { code: number | null }[] }
    expect(others).toEqual({ jitter: 0.1, maxDelaySeconds: 21_600, delayScale: 1 })
    expect(codes.find(({ code }) => code === 30003)).toEqual({
      ...{ code: 30003, action: 'retry', retries: 1, baseDelaySeconds: 7, delaysSeconds: [7] },
      reason: expect.any(String),
    })
    expect(codes.find(({ code }) => code === 30004)).toEqual({
      ...{ code: 30004, action: 'stop', delaysSeconds: [] },
      reason: expect.any(String),
    })
    expect(new Set(codes.map((entry) => entry.code)).size).toBe(codes.length)
    const ruleOf = (wanted: number | null) => codes.find((entry) => entry.code === wanted)
    expect(ruleOf(30003)).toMatchObject({ action: 'retry', retries: 1, delaysSeconds: [7] })
    expect(ruleOf(30004)).toMatchObject({ action: 'stop', delaysSeconds: [] })
    expect(ruleOf(30001)).toMatchObject({ action: 'retry', retries: 3, delaysSeconds: [60, 120, 240] })
    expect(ruleOf(null)).toMatchObject({ action: 'retry', retries: 2, delaysSeconds: [120, 240] })
    expect(ruleOf(63038)).toMatchObject({
      action: 'retry',
      retries: 3,
      periodSeconds: 86_400,
      delaysSeconds: [86_400, 86_400, 86_400],
    })
    expect(ruleOf(30027)).toMatchObject({
      ...{
        action: 'retry',
        retries: 2,
        after: '00:00',
        timeZone: 'America/Los_Angeles',
        delaysSeconds: null,
      },
      nextRetryAt: expect.stringMatching(/T0[78]:00:00\.000Z$/),
    })
  })
})

describe('colours', () => {
  const ESCAPE = '\u001b['
  const hasScript = spawnSync('script', ['--version']).status === 0

  test('are not written to a pipe', async () => {
    // FORCE_COLOR makes Node treat the pipe as a terminal: it proves that there are colours to leave out.
    const forced = await runCliProcess(['list'], { ...world.env, FORCE_COLOR: '1' })
    expect(forced.stdout).toContain(ESCAPE)
    expect((await runCliProcess(['list'], world.env)).stdout).not.toContain(ESCAPE)
  })

  // `script` of util-linux runs a command in a terminal of its own.
  ;(hasScript ? test : test.skip)('are written to a terminal, unless NO_COLOR is set', () => {
    const listInTerminal = (env: Record<string, string>): string => {
      const command = `"${process.execPath}" "${CLI}" list`
      const { stdout, status } = spawnSync(
        'script',
        ['--quiet', '--return', '--command', command, '/dev/null'],
        {
          env: { PATH: process.env['PATH'], TERM: 'xterm', ...world.env, ...env },
          encoding: 'utf8',
        },
      )
      expect(status).toBe(0)
      expect(stdout).toContain('STATUS')
      return stdout
    }
    expect(listInTerminal({})).toContain(ESCAPE)
    expect(listInTerminal({ NO_COLOR: '1' })).not.toContain(ESCAPE)
  })

  ;(hasScript ? test : test.skip)(
    'a table is cut at the width of the terminal, and not in a pipe',
    async () => {
      const command = `stty cols 60; "${process.execPath}" "${CLI}" policy`
      const { stdout } = spawnSync('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
        env: { PATH: process.env['PATH'], TERM: 'xterm' },
        encoding: 'utf8',
      })
      const lines = stripVTControlCharacters(stdout).split(/\r?\n/)
      const codes = lines.filter((line) => /^\d{5} /.test(line))
      expect(codes.length).toBeGreaterThan(20)
      expect(Math.max(...codes.map((line) => line.length))).toBe(60)
      expect(codes.some((line) => line.endsWith('…'))).toBe(true)
      expect((await runCliProcess(['policy'])).stdout).not.toContain('…')
    },
  )
})
