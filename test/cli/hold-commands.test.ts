// The commands `pause`, `resume` and `status`: output, exit code, and what they change for a sender in another process. When
// failures cause a hold is tested in test/delivery/account-state.test.ts. Needs dist/.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { spawnSync } from 'node:child_process'
import { userInfo } from 'node:os'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { Instance } from '../../src/processes/instance.ts'
import { createTestDatabase } from '../support/database.ts'
import { startWorld, type World } from '../support/world.ts'
import { type Ended, runCli, runCliProcess, WORKING_NUMBER } from './run-cli.ts'

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))
/** Twilio refuses them with 20003, a code of the account. */
const ACCOUNT_FAILS = '+15552000399'
const ME = userInfo().username
const TIME = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC`

let world: World
let stopHeartbeat: () => Promise<void>
beforeAll(async () => {
  // Without a worker, no probe is made. The heartbeat of an invented worker keeps `status` from reporting `no_worker`.
  world = await startWorld({ env: { RETRY_DELAY_SCALE: '1' } })
  const runtime = world.openRuntime()
  const heartbeat = new Instance(runtime, 'worker')
  await heartbeat.start()
  stopHeartbeat = async () => {
    await heartbeat.stop()
    await runtime.database.close()
  }
})
afterAll(async () => {
  await stopHeartbeat()
  await world.stop()
})
beforeEach(async () => {
  await run('resume')
  // A success ends the failures of an earlier test.
  await send(WORKING_NUMBER)
  await world.simulator.idle()
})

const run = (...args: string[]): Promise<Ended> => runCli(args, world.env)
const send = async (to: string): Promise<string> =>
  (await world.sender.send({ userId: 7, to, body: 'Hello' })).status

const finding = (name: string, severity: string, sentence: string): object => ({
  name,
  severity,
  sentence: expect.stringContaining(sentence),
  advice: expect.stringContaining('sms-retry resume'),
  path: '/queue',
})

async function fail(times: number): Promise<void> {
  for (let n = 0; n < times; n += 1) await send(ACCOUNT_FAILS)
}

describe('pause', () => {
  test('stops the sending of other processes until resume, and records who and why', async () => {
    const requests = world.simulator.messages().length
    const paused = await runCliProcess(['pause', '--reason', 'Moving to another account'], world.env)
    expect(paused).toMatchObject({
      code: 0,
      stdout: `Sending is paused by ${ME}: Moving to another account\n`,
    })
    expect(paused.stderr).toMatch(/New messages are recorded.*\n.*sms-retry resume\n$/)
    expect(await send(WORKING_NUMBER)).toBe('retry_scheduled')
    expect(world.simulator.messages()).toHaveLength(requests)

    const status = await run('status')
    expect(status).toMatchObject({ code: 1, stderr: 'To send again, run: sms-retry resume\n' })
    expect(status.stdout).toMatch(
      new RegExp(
        `^Sending is paused\nPaused {4}since ${TIME} \\(.*s\\) by ${ME}\nReason {4}Moving to another account\n`,
      ),
    )

    expect(await run('resume')).toEqual({
      code: 0,
      stdout: expect.stringMatching(
        new RegExp(`^Ended the pause of ${ME} since ${TIME} \\(Moving to another account\\)\\.\n$`),
      ),
      stderr: '',
    })
    expect(await send(WORKING_NUMBER)).toBe('accepted')
  })

  test('needs no reason; a later pause replaces an earlier one and says so', async () => {
    expect(await run('pause')).toMatchObject({ code: 0, stdout: `Sending is paused by ${ME}\n` })
    expect((await run('status')).stdout).toMatch(/^Reason {4}not given$/m)
    const { stdout } = await run('pause', '--reason', 'Later')
    expect(stdout).toMatch(
      new RegExp(`^Sending is paused by ${ME}: Later\nThis replaces the pause of ${ME} since ${TIME}\\.\n$`),
    )
    expect(JSON.parse((await run('status', '--json')).stdout)).toMatchObject({ pause: { reason: 'Later' } })
  })

  test.each([
    ['an empty text', ' ', 'must not be empty'],
    ['two lines', 'one\ntwo', 'one line without control characters'],
    ['an escape sequence', 'red \u001b[31m', 'one line without control characters'],
    ['a control of the writing direction', 'a\u202Eb', 'one line without control characters'],
    ['201 characters', 'x'.repeat(201), 'at most 200 characters'],
  ])('refuses %s as the reason, exits with 2, and pauses nothing', async (_what, reason, why) => {
    const { code, stdout, stderr } = await run('pause', '--reason', reason)
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain(why)
    expect(await run('status')).toMatchObject({ code: 0 })
  })

  test('accepts a reason of 200 characters, counted as a person counts them', async () => {
    const reason = `É${'😀'.repeat(199)}`
    expect(await run('pause', '--reason', reason)).toMatchObject({ code: 0 })
    expect(JSON.parse((await run('status', '--json')).stdout)).toMatchObject({ pause: { reason } })
  })

  // Only root can start a process of another user.
  ;(process.getuid?.() === 0 ? test : test.skip)('records "unknown" for a user without a name', () => {
    const { status, stdout } = spawnSync(process.execPath, [CLI, 'pause'], {
      cwd: '/',
      env: world.env,
      uid: 54_321,
      encoding: 'utf8',
    })
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'Sending is paused by unknown\n' })
  })
})

describe('resume', () => {
  test('without a pause or a hold changes nothing and says so', async () => {
    await fail(2)
    expect(await run('resume')).toEqual({
      code: 0,
      stdout: 'Nothing to resume: sending is neither paused nor on hold.\n',
      stderr: '',
    })
    expect((await run('status')).stdout).toMatch(/^Failures {2}2 failures/m)
  })

  test('ends a pause and a hold together, and names both', async () => {
    await fail(5)
    const paused = await run('pause', '--reason', 'Rotating the token')
    expect(paused.stdout).toMatch(new RegExp(`^The hold since ${TIME} remains\\. No probe is made`, 'm'))
    const status = await run('status')
    expect(status.code).toBe(1)
    expect(status.stdout).toMatch(
      /^Sending is paused\n(.*\n)*On hold .*\nCause .*20003.*\nProbes .*none during the pause\n/,
    )
    const { code, stdout, stderr } = await run('resume')
    expect(code).toBe(0)
    expect(stdout).toMatch(
      /^Ended the pause of .*\(Rotating the token\)\.\nEnded the hold since .*\(20003: .*credentials.*\)\.\n$/,
    )
    expect(stderr).toContain('five failures put sending on hold again')
    expect(await run('status')).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Sending works\n/) })
    expect(await send(WORKING_NUMBER)).toBe('accepted')
  })
})

describe('status', () => {
  test('exits with 0 while sending works, and counts due and later attempts', async () => {
    const app = new pg.Client({ connectionString: world.database.url })
    await app.connect()
    await world.sender.enqueue({ userId: 7, to: WORKING_NUMBER, body: 'Hello' }, { db: app })
    await app.end()
    // None becomes due between the command and the query.
    await world.database.query(
      `update sms_usage_logs set next_retry_at = now() + interval '1 hour' where next_retry_at is not null`,
    )
    const { code, stdout, stderr } = await runCliProcess(['status'], world.env)
    expect([code, stderr]).toEqual([0, ''])
    const [row] = await world.database.query<{ due: number; later: number }>(
      `select (count(*) filter (where coalesce(next_retry_at, created_at) <= now()))::int as "due",
              (count(*) filter (where coalesce(next_retry_at, created_at) > now()))::int as "later"
         from sms_usage_logs where final_status in ('pending', 'retrying')`,
    )
    expect(row?.due).toBeGreaterThan(0)
    expect(stdout).toBe(`Sending works\nAttempts  ${row?.due} due, ${row?.later} later\n`)
  })

  test('shows failures below the threshold while sending works', async () => {
    await fail(1)
    expect((await run('status')).stdout).toMatch(/^Failures {2}1 failure of the Twilio account since/m)
    await fail(2)
    const { code, stdout } = await run('status')
    expect(code).toBe(0)
    expect(stdout).toMatch(
      new RegExp(
        `^Failures {2}3 failures .*, the latest at ${TIME}\\. 5 within a minute put sending on hold$`,
        'm',
      ),
    )
    expect(JSON.parse((await run('status', '--json')).stdout)).toMatchObject({
      state: 'working',
      failures: { count: 3, latestAt: expect.stringMatching(/Z$/) },
    })
  })

  test('shows a hold with its code, its cause and its probes, and exits with 1', async () => {
    await fail(5)
    const { code, stdout, stderr } = await run('status')
    expect(code).toBe(1)
    expect(stdout).toMatch(
      new RegExp(
        `^Sending is on hold\nOn hold {3}since ${TIME} .*\nCause {5}20003: .*credentials.*\n` +
          `Probes {4}0 made, the next at ${TIME}\\. The first one that Twilio accepts ends the hold\nAttempts `,
      ),
    )
    expect(stderr).toMatch(/first successful probe.*sms-retry resume\n$/)

    await world.database.query(`update sms_retry.account_state set probes = 2, probe_at = now()`)
    expect((await run('status')).stdout).toMatch(/^Probes {4}2 made, the next is due: a worker makes it/m)
  })

  test('--json has fixed keys and the same exit code', async () => {
    const working = await run('status', '--json')
    expect([working.code, working.stderr]).toEqual([0, ''])
    const counts = { attemptsDue: expect.any(Number), attemptsDeferred: expect.any(Number) }
    const failures = { count: 0, latestAt: null }
    expect(JSON.parse(working.stdout)).toEqual({
      state: 'working',
      hold: null,
      pause: null,
      failures,
      ...counts,
      findings: [],
    })

    await fail(5)
    const held = await run('status', '--json')
    expect([held.code, held.stderr]).toEqual([1, ''])
    const hold = {
      since: expect.stringMatching(/Z$/),
      errorCode: 20003,
      reason: expect.stringContaining('credentials'),
      liftedBy: 'accepted',
      probes: 0,
      probeAt: expect.stringMatching(/Z$/),
    }
    const heldFinding = finding('hold', 'critical', 'Sending is on hold: the Twilio account fails with 20003')
    expect(JSON.parse(held.stdout)).toEqual({
      state: 'on_hold',
      hold,
      pause: null,
      failures,
      ...counts,
      findings: [heldFinding],
    })

    await run('pause', '--reason', 'Why')
    const paused = await run('status', '--json')
    expect(paused.code).toBe(1)
    const pause = { since: expect.stringMatching(/Z$/), by: ME, reason: 'Why' }
    const findings = [heldFinding, finding('paused', 'warning', 'Sending is paused: Why')]
    expect(JSON.parse(paused.stdout)).toEqual({ state: 'paused', hold, pause, failures, ...counts, findings })
  })
})

test('pause, resume and status say how to prepare a database without migrations', async () => {
  const database = await createTestDatabase(null)
  for (const command of ['pause', 'resume', 'status']) {
    const { code, stderr } = await runCli([command], { DATABASE_URL: database.url })
    expect([command, code, stderr]).toEqual([command, 1, expect.stringContaining('sms-retry migrate')])
  }
  await database.drop()
})
