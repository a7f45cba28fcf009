// The command `reconcile`: its output for people and as JSON, and its exit code. The effect of a sweep on each message is
// tested in test/messages/reconcile-*.test.ts. Needs dist/.
import { describe, expect, test } from '@jest/globals'
import { CLOSED_PORT } from '../support/closed-port.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { jobsOf, newTimedWorld, NOTHING, sendWith, type TimedWorld } from '../support/timed-world.ts'
import { enqueue } from '../support/workers.ts'
import { closeLater, message, rowsOf } from '../support/world-with.ts'
import { type Ended, runCli, runCliProcess } from './run-cli.ts'

function run({ env }: TimedWorld, flags: readonly string[] = []): Promise<Ended> {
  return runCli(['reconcile', ...flags], env)
}

/** In this order: in doubt and known to Twilio; in doubt and unknown to Twilio; accepted; pending without its job. */
async function fourOverdue(world: TimedWorld): Promise<number[]> {
  const ids = [
    await sendWith(world, { hang: 1 }, { to: '+12065550111' }),
    await sendWith(world, { hangBefore: 1 }, { to: '+12065550112' }),
    (await world.sender.send(message())).id,
    await enqueue(world),
  ]
  await world.simulator.idle()
  await world.database.query('delete from sms_retry_pgboss.job')
  await world.pass(300)
  return ids
}

/** The settings that `reconcile` requires. Nothing listens at these addresses. */
const ENV = {
  DATABASE_URL: 'postgres://app@127.0.0.1:1/app',
  PUBLIC_BASE_URL: 'http://127.0.0.1:1',
  TWILIO_API_BASE_URL: 'http://127.0.0.1:1',
  TWILIO_ACCOUNT_SID: `AC${'0'.repeat(32)}`,
  TWILIO_AUTH_TOKEN: '0'.repeat(32),
  TWILIO_FROM_NUMBER: '+12065550100',
}

/** Dropped after the test. */
async function newDatabase(template?: null): Promise<TestDatabase> {
  const database = await createTestDatabase(template)
  closeLater(() => database.drop())
  return database
}

const TO_JSON = ['--json']

describe('reconcile', () => {
  test('resolves overdue messages and prints how many', async () => {
    const world = await newTimedWorld()
    await fourOverdue(world)
    const { code, stdout, stderr } = await runCliProcess(['reconcile'], world.env)
    expect([code, ...stdout.split('\n')]).toEqual([
      0,
      'Checked 4 overdue messages.',
      '  1 due without a job: rescheduled',
      '  3 looked up at Twilio: 2 resolved, 1 not found and rescheduled, 0 still in doubt, 0 failed',
      '',
    ])
    // Unusual events are logged.
    for (const words of [
      /a new job is scheduled/,
      /in doubt was found at Twilio/,
      /does not have an attempt in doubt/,
    ]) {
      expect(stderr).toMatch(words)
    }
    expect((await rowsOf(world)).map((row) => row.final_status)).toEqual([
      'delivered',
      'pending',
      'delivered',
      'pending',
    ])
    expect(await jobsOf(world)).toHaveLength(2)
  })

  test('--json prints the same numbers, and zeros when no message is overdue', async () => {
    const world = await newTimedWorld()
    await fourOverdue(world)
    const first = await run(world, TO_JSON)
    expect(first.code).toBe(0)
    expect(JSON.parse(first.stdout)).toEqual({
      looked: 4,
      rungAgain: 1,
      asked: 3,
      answered: 2,
      absent: 1,
      undecided: 0,
      failed: 0,
      leftOut: 0,
    })
    const again = await run(world, TO_JSON)
    expect({ ...again, stdout: JSON.parse(again.stdout) as unknown }).toEqual({
      code: 0,
      stdout: NOTHING,
      stderr: '',
    })
    const inWords = await run(world)
    expect(inWords).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^Checked 0 overdue messages\.\n/),
    })
  })

  test('exits with 0 if a message stays in doubt, and logs the reason', async () => {
    const world = await newTimedWorld()
    for (let i = 0; i < 2; i += 1) await sendWith(world, { hang: 1 })
    await world.pass(45)
    const { code, stdout, stderr } = await run(world)
    expect(code).toBe(0)
    expect(stdout).toContain(
      '2 looked up at Twilio: 0 resolved, 0 not found and rescheduled, 2 still in doubt, 0 failed',
    )
    expect(stderr).toMatch(/stays in doubt/)
  })

  test('exits with 1 if a lookup at Twilio fails, and logs the reason', async () => {
    const world = await newTimedWorld({ chaos: { lookupError: 1 } })
    await world.sender.send(message())
    await world.pass(300)
    const { code, stdout, stderr } = await run(world)
    expect(code).toBe(1)
    expect(stdout).toContain(
      '1 looked up at Twilio: 0 resolved, 0 not found and rescheduled, 0 still in doubt, 1 failed',
    )
    expect(stderr).toMatch(/Could not look up an attempt at Twilio.*HTTP 5\d\d/)
    await world.pass(900)
    const asJson = await run(world, TO_JSON)
    expect(asJson.code).toBe(1)
    expect(JSON.parse(asJson.stdout)).toMatchObject({ asked: 1, failed: 1 })
  })
})

describe('reconcile --dry-run', () => {
  test('lists the planned actions for people and as JSON, and changes nothing', async () => {
    const world = await newTimedWorld()
    const [lost, absent, accepted, waiting] = (await fourOverdue(world)) as [number, number, number, number]
    const before = await rowsOf(world)
    const table = await run(world, ['--dry-run'])
    expect(table).toMatchObject({ code: 0, stderr: '' })
    const [head, ...lines] = table.stdout.trimEnd().split('\n')
    expect(head?.split(/\s{2,}/)).toEqual(['MESSAGE', 'ATTEMPT', 'STATUS', 'PLAN'])
    const byId = (one: { messageId: number }, other: { messageId: number }): number =>
      one.messageId - other.messageId
    const list = "look for it in Twilio's list"
    expect(lines.map((line) => line.split(/\s{2,}/)).sort()).toEqual(
      [
        [`${lost}`, '0', 'submitting', list],
        [`${absent}`, '0', 'submitting', list],
        [`${accepted}`, '0', 'queued', 'ask Twilio for its status'],
        [`${waiting}`, '0', 'pending', 'reschedule its job, if it is gone'],
      ].sort(),
    )
    const asJson = await run(world, ['--dry-run', '--json'])
    expect(asJson).toMatchObject({ code: 0, stderr: '' })
    expect((JSON.parse(asJson.stdout) as { messageId: number }[]).sort(byId)).toEqual([
      { messageId: lost, attempt: 0, status: 'submitting', plan: list },
      { messageId: absent, attempt: 0, status: 'submitting', plan: list },
      { messageId: accepted, attempt: 0, status: 'queued', plan: 'ask Twilio for its status' },
      { messageId: waiting, attempt: 0, status: 'pending', plan: 'reschedule its job, if it is gone' },
    ])
    expect(await rowsOf(world)).toEqual(before)
    expect(await jobsOf(world)).toEqual([])
  })

  test('needs only DATABASE_URL, and writes messages for people to stderr only', async () => {
    const database = await newDatabase()
    const databaseOnly = { DATABASE_URL: database.url }
    expect(await runCli(['reconcile', '--dry-run'], databaseOnly)).toEqual({
      code: 0,
      stdout: '',
      stderr: 'No messages are overdue.\n',
    })
    expect(await runCli(['reconcile', '--dry-run', '--json'], databaseOnly)).toEqual({
      code: 0,
      stdout: '[]\n',
      stderr: '',
    })
  })

  test('lists at most 1,000 messages, and says so', async () => {
    const database = await newDatabase()
    await database.query(
      `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content,
                                   final_status, sms_metadata)
       select 1, '+12065550111', 'outbound', 5, 'Hello', 'pending',
              '{"reconcile_at": "2026-01-01T00:00:00.000Z", "attempts": [{"number": 0, "status": "pending"}]}'
         from generate_series(1, 1001)`,
    )
    const { code, stdout, stderr } = await runCli(['reconcile', '--dry-run', '--json'], {
      DATABASE_URL: database.url,
    })
    expect({ code, stderr }).toEqual({ code: 0, stderr: 'Only the first 1000 messages are listed.\n' })
    expect(JSON.parse(stdout)).toHaveLength(1000)
  })
})

describe('reconcile fails', () => {
  test('with exit code 2 if Twilio settings are missing, and names all of them', async () => {
    const names = ['PUBLIC_BASE_URL', 'TWILIO_ACCOUNT_SID', 'TWILIO_AUTH_TOKEN', 'TWILIO_FROM_NUMBER']
    const without = Object.fromEntries(names.map((name) => [name, '']))
    const { code, stdout, stderr } = await runCli(['reconcile'], { ...ENV, ...without })
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    for (const name of names) expect(stderr).toContain(name)
  })

  test('with exit code 2 for an unknown flag', async () => {
    const { code, stdout, stderr } = await runCli(['reconcile', '--dry'])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/unknown option '--dry'/)
  })

  test.each([
    [[]],
    [['--dry-run']],
  ])('with exit code 1 while the database is unreachable (flags %j)', async (flags) => {
    const url = `postgres://app:hunter2@127.0.0.1:${CLOSED_PORT}/app`
    const { code, stdout, stderr } = await runCli(['reconcile', ...flags], { ...ENV, DATABASE_URL: url })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/ECONNREFUSED/)
    expect(stderr).not.toContain('hunter2')
    expect(stderr).not.toMatch(/^ {4}at /m)
  })

  test('with exit code 1 on a database without migrations, and says which command to run', async () => {
    const { url } = await newDatabase(null)
    const { code, stdout, stderr } = await runCli(['reconcile'], { ...ENV, DATABASE_URL: url })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain('sms-retry migrate')
  })
})
