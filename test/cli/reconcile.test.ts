// The command `reconcile` as a real process: what it prints, for people and as JSON, and how it ends. What a sweep does
// with each message: reconcile-doubt.test.ts, reconcile-lost.test.ts. Needs dist/.
import { describe, expect, test } from '@jest/globals'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { createTestDatabase } from '../support/database.ts'
import { jobsOf, newTimedWorld, NOTHING, sendWith, type TimedWorld } from '../support/timed-world.ts'
import { enqueue } from '../support/workers.ts'
import { message, rowsOf } from '../support/world-with.ts'
import { type Ended, runCli } from './run-cli.ts'

function run({ env }: TimedWorld, flags: readonly string[] = []): Promise<Ended> {
  return runCli(['reconcile', ...flags], env)
}

/** In doubt, one at Twilio and one not; with Twilio; and one that waits, without its job. In this order. */
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

const TO_JSON = ['--json']

describe('reconcile', () => {
  test('does what is to be done, and says how much that was', async () => {
    const world = await newTimedWorld()
    await fourOverdue(world)
    const { code, stdout, stderr } = await run(world)
    expect([code, ...stdout.split('\n')]).toEqual([
      0,
      'Looked at 4 overdue messages.',
      '  1 due, without a job: alarm set again',
      '  3 asked for at Twilio: 2 answered, 1 not there and made again, 0 undecided, 0 failed',
      '',
    ])
    // What is out of the ordinary, from the log.
    for (const words of [/job is rescheduled/, /in doubt was found at Twilio/, /in doubt is not at Twilio/]) {
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

  test('--json is the same numbers; where nothing is overdue, all are 0', async () => {
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
      stdout: expect.stringMatching(/^Looked at 0 overdue messages\.\n/),
    })
  })

  test('what stays in doubt is no failure of the command; the log says why it does', async () => {
    const world = await newTimedWorld()
    for (let i = 0; i < 2; i += 1) await sendWith(world, { hang: 1 })
    await world.pass(45)
    const { code, stdout, stderr } = await run(world)
    expect(code).toBe(0)
    expect(stdout).toContain(
      '2 asked for at Twilio: 0 answered, 0 not there and made again, 2 undecided, 0 failed',
    )
    expect(stderr).toMatch(/stays in doubt/)
  })

  test('if Twilio cannot be asked, it fails with exit code 1, and says why', async () => {
    const world = await newTimedWorld({ chaos: { lookupError: 1 } })
    await world.sender.send(message())
    await world.pass(300)
    const { code, stdout, stderr } = await run(world)
    expect(code).toBe(1)
    expect(stdout).toContain(
      '1 asked for at Twilio: 0 answered, 0 not there and made again, 0 undecided, 1 failed',
    )
    expect(stderr).toMatch(/Could not look up an attempt at Twilio.*HTTP 5\d\d/)
    await world.pass(900)
    const asJson = await run(world, TO_JSON)
    expect(asJson.code).toBe(1)
    expect(JSON.parse(asJson.stdout)).toMatchObject({ asked: 1, failed: 1 })
  })
})

describe('reconcile --dry-run', () => {
  test('lists what would be done, for people and as JSON, and does none of it', async () => {
    const world = await newTimedWorld()
    const [lost, absent, accepted, waiting] = (await fourOverdue(world)) as [number, number, number, number]
    const before = await rowsOf(world)
    const table = await run(world, ['--dry-run'])
    expect(table).toMatchObject({ code: 0, stderr: '' })
    const [head, ...lines] = table.stdout.trimEnd().split('\n')
    expect(head?.split(/\s{2,}/)).toEqual(['MESSAGE', 'ATTEMPT', 'STATUS', 'WOULD'])
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

  test('needs nothing but the database, and has words for people on stderr only', async () => {
    const { env } = await newTimedWorld()
    const databaseOnly = { DATABASE_URL: env['DATABASE_URL'] ?? '' }
    expect(await runCli(['reconcile', '--dry-run'], databaseOnly)).toEqual({
      code: 0,
      stdout: '',
      stderr: 'No message is overdue.\n',
    })
    expect(await runCli(['reconcile', '--dry-run', '--json'], databaseOnly)).toEqual({
      code: 0,
      stdout: '[]\n',
      stderr: '',
    })
  })

  test('lists a thousand at most, and says so', async () => {
    const world = await newTimedWorld()
    await world.database.query(
      `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content,
                                   final_status, sms_metadata)
       select 1, '+12065550111', 'outbound', 5, 'Hello', 'pending',
              '{"reconcile_at": "2026-01-01T00:00:00.000Z", "attempts": [{"number": 0, "status": "pending"}]}'
         from generate_series(1, 1001)`,
    )
    const { code, stdout, stderr } = await run(world, ['--dry-run', '--json'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: 'Only the first 1000 are listed.\n' })
    expect(JSON.parse(stdout)).toHaveLength(1000)
  })
})

describe('reconcile that cannot be done', () => {
  test('without what a request to Twilio needs: exit code 2, and every name at once', async () => {
    const { env } = await newTimedWorld()
    const names = ['PUBLIC_BASE_URL', 'TWILIO_ACCOUNT_SID', 'TWILIO_AUTH_TOKEN', 'TWILIO_FROM_NUMBER']
    const without = Object.fromEntries(names.map((name) => [name, '']))
    const { code, stdout, stderr } = await runCli(['reconcile'], { ...env, ...without })
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    for (const name of names) expect(stderr).toContain(name)
  })

  test('with a flag that there is not: exit code 2', async () => {
    const { code, stdout, stderr } = await runCli(['reconcile', '--dry'])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/unknown option '--dry'/)
  })

  test.each([[[]], [['--dry-run']]])('while the database is away: exit code 1 (%j)', async (flags) => {
    const world = await newTimedWorld()
    const env = { ...world.env, DATABASE_URL: `postgres://app:hunter2@127.0.0.1:${await freePort()}/app` }
    const { code, stdout, stderr } = await runCli(['reconcile', ...flags], env)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/ECONNREFUSED/)
    expect(stderr).not.toContain('hunter2')
    expect(stderr).not.toMatch(/^ {4}at /m)
  })

  test('on a database that was not migrated: exit code 1, and what to do', async () => {
    const world = await newTimedWorld()
    const unmigrated = await createTestDatabase(null)
    const env = { ...world.env, DATABASE_URL: unmigrated.url }
    const { code, stdout, stderr } = await runCli(['reconcile'], env)
    await unmigrated.drop()
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain('sms-retry migrate')
  })
})
