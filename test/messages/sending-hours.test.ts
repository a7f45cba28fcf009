// Tests sendAfter and the send window on real rows and jobs: in send(), enqueue(), due attempts, retries, manual retries and
// reconciling. delivery/gate.test.ts tests the decisions. The windows are relative to the time of the test, in UTC.
import { describe, expect, test } from '@jest/globals'
import { findMessage } from '../../src/db/messages.ts'
import { InvalidMessageError } from '../../src/shared/errors.ts'
import { actOnMessage } from '../../src/messages/act-on-message.ts'
import type { MessageInput } from '../../src/messages/message-input.ts'
import { reconcile } from '../../src/messages/reconcile.ts'
import { enqueueMessage } from '../../src/messages/enqueue-messages.ts'
import type { Db } from '../../src/postgres/pool.ts'
import { USER_ID_COLUMN } from '../support/circumstances.ts'
import { accept } from '../support/fake-twilio.ts'
import { jobsOf, newProcess, newTimedWorld, NOTHING, runDue } from '../support/timed-world.ts'
import type { World } from '../support/world.ts'
import {
  appClient,
  jobCount,
  message,
  newWorld,
  newWorldWith,
  type Row,
  rowOf,
  rowsOf,
} from '../support/world-with.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

const fromNow = (ms: number): Date => new Date(Date.now() + ms)
const timeOfDay = (at: Date): string => at.toISOString().slice(11, 16)

/** A window from and to these times from now, as a message has it. */
const window = (from: number, to: number) =>
  ({ sendWindow: { from: timeOfDay(fromNow(from)), to: timeOfDay(fromNow(to)) }, timeZone: 'UTC' }) as const

const CLOSED = (): Pick<MessageInput, 'sendWindow' | 'timeZone'> => window(2 * HOUR, 5 * HOUR)

/** The window as a setting of all processes. */
function setting(from: number, to: number): Record<string, string> {
  const { sendWindow } = window(from, to)
  return {
    SEND_WINDOW: `${sendWindow.from}-${sendWindow.to}`,
    SEND_WINDOW_TIME_ZONE: 'UTC',
    RETRY_DELAY_SCALE: '1',
  }
}

interface Job {
  readonly state: string
  readonly at: Date
}

const jobs = ({ database }: World): Promise<Job[]> =>
  database.query<Job>(
    `select state, start_after as "at" from sms_retry_pgboss.job where name = 'attempt' order by created_on`,
  )

/** The row waits for the opening in two hours, and so does its job. */
async function expectToWait(world: World, id: number): Promise<Row> {
  const row = await rowOf(world, id)
  expect(row).toMatchObject({
    final_status: 'pending',
    success: true,
    retry_count: 0,
    error_message: expect.stringMatching(/^It waits for its send window, \d\d:\d\d-\d\d:\d\d in UTC$/),
  })
  const waitMs = (row.next_retry_at?.getTime() ?? 0) - Date.now()
  expect(waitMs).toBeGreaterThan(2 * HOUR - 2 * MINUTE)
  expect(waitMs).toBeLessThan(2 * HOUR)
  expect(await jobs(world)).toEqual([{ state: 'created', at: row.next_retry_at }])
  expect(world.simulator.messages()).toEqual([])
  return row
}

describe('send() outside the window', () => {
  test('of the message records it, submits nothing, and schedules one job for the opening', async () => {
    const world = await newWorld({ env: { RETRY_DELAY_SCALE: '1' } })
    const result = await world.sender.send(message({ ...CLOSED(), idempotencyKey: 'one' }))
    const row = await expectToWait(world, result.id)
    expect(result).toEqual({
      id: row.id,
      status: 'retry_scheduled',
      nextRetryAt: row.next_retry_at,
      reason: row.error_message,
    })
    const again = await world.sender.send(
      message({ ...CLOSED(), idempotencyKey: 'one', sendAfter: fromNow(DAY) }),
    )
    expect(again).toEqual(result)
    expect(await rowsOf(world)).toHaveLength(1)
  })

  test('of the configuration waits as well, but an urgent message is sent', async () => {
    const world = await newWorld({
      env: setting(2 * HOUR, 5 * HOUR),
      simulator: { chaos: { dropCallbacks: 1 } },
    })
    const { id } = await world.sender.send(message())
    await expectToWait(world, id)
    expect(await world.sender.send(message({ sendWindow: 'any' }))).toMatchObject({ status: 'accepted' })
    expect(world.simulator.messages()).toHaveLength(1)
  })

  test('expires the message if the window opens after its deadline', async () => {
    const world = await newWorld()
    const result = await world.sender.send(message({ ...CLOSED(), validForSeconds: 3600 }))
    expect(result).toEqual({
      id: expect.any(Number),
      status: 'failed',
      reason: expect.stringContaining('send window'),
    })
    expect(await rowOf(world, result.id)).toMatchObject({
      final_status: 'expired',
      success: false,
      next_retry_at: null,
      error_message: expect.stringMatching(/send window.*after the deadline/),
    })
    expect(await jobCount(world)).toBe(0)
    expect(world.simulator.messages()).toEqual([])
  })

  test('needs a time zone, which a toll-free number does not show', async () => {
    const { sendWindow } = CLOSED()
    const toTollFree = message({ to: '+18005550199', sendWindow })
    const world = await newWorld()
    await expect(world.sender.send(toTollFree)).rejects.toThrow(InvalidMessageError)
    await expect(world.sender.send(toTollFree)).rejects.toThrow(/timeZone.*SEND_WINDOW_FALLBACK_TIME_ZONE/)
    expect(await rowsOf(world)).toEqual([])
    const withFallback = await newWorld({ env: { SEND_WINDOW_FALLBACK_TIME_ZONE: 'UTC' } })
    expect(await withFallback.sender.send(toTollFree)).toMatchObject({ status: 'retry_scheduled' })
  })
})

describe('send() inside the window', () => {
  test('gives Twilio the rest of the opening as ValidityPeriod, or the deadline if that is earlier', async () => {
    const { world, twilio } = await newWorldWith(accept, setting(-HOUR, 30 * MINUTE))
    await world.sender.send(message())
    await world.sender.send(message({ validForSeconds: 600 }))
    const [untilEnd, untilDeadline] = twilio.posts.map(({ fields }) => Number(fields['ValidityPeriod']))
    expect(untilEnd).toBeGreaterThan(28 * 60)
    expect(untilEnd).toBeLessThanOrEqual(30 * 60)
    expect(untilDeadline).toBe(600)
  })

  test('retries a refused message in the next opening, if its delay ends after this one', async () => {
    // Refused once with a code whose first retry is due after five minutes.
    const world = await newWorld({ env: setting(-HOUR, 4 * MINUTE) })
    const { id, status, nextRetryAt } = await world.sender.send(message({ to: '+15552161101' }))
    const row = await rowOf(world, id)
    expect({ status, nextRetryAt }).toEqual({ status: 'retry_scheduled', nextRetryAt: row.next_retry_at })
    expect(row).toMatchObject({
      final_status: 'retrying',
      retry_count: 1,
      error_message: expect.stringMatching(
        /^21611: .*Retry 1 of 3 is scheduled\. It waits for its send window/,
      ),
    })
    expect((row.next_retry_at?.getTime() ?? 0) - Date.now()).toBeGreaterThan(22 * HOUR)
    expect(await jobs(world)).toEqual([{ state: 'created', at: row.next_retry_at }])
  })
})

describe('enqueue()', () => {
  test('outside the window adds the row and its job for the opening, in the transaction of the caller', async () => {
    const world = await newWorld({ env: { RETRY_DELAY_SCALE: '1' } })
    const client = await appClient(world)
    await client.query('begin')
    await world.sender.enqueue(message(CLOSED()), { db: client })
    await client.query('rollback')
    expect([await rowsOf(world), await jobs(world)]).toEqual([[], []])
    await client.query('begin')
    const { id } = await world.sender.enqueue(message(CLOSED()), { db: client })
    await client.query('commit')
    await expectToWait(world, id)
  })

  test('reads the time only for a message that depends on it', async () => {
    const world = await newTimedWorld()
    const deps = await newProcess(world)
    const statementsOf = async (input: MessageInput): Promise<number> => {
      let statements = 0
      const counting: Db = {
        executeSql: (text, values) => {
          statements += 1
          return deps.database.executeSql(text, values)
        },
      }
      await enqueueMessage({ ...deps, userIdColumn: USER_ID_COLUMN }, counting, input)
      return statements
    }
    const plain = await statementsOf(message({ validForSeconds: 60 }))
    expect(await statementsOf(message({ sendWindow: 'any', timeZone: 'UTC' }))).toBe(plain)
    expect(await statementsOf(message(CLOSED()))).toBe(plain + 1)
    expect(await statementsOf(message({ sendAfter: fromNow(HOUR) }))).toBe(plain + 1)
  })
})

describe('a message with sendAfter', () => {
  test('waits for this time, to the millisecond, and is sent then', async () => {
    const world = await newTimedWorld()
    const sendAfter = fromNow(3 * HOUR)
    const { id } = await world.sender.send(message({ sendAfter }))
    expect(await rowOf(world, id)).toMatchObject({
      final_status: 'pending',
      next_retry_at: sendAfter,
      error_message: 'The app asked for a later time (sendAfter)',
    })
    expect(await jobs(world)).toEqual([{ state: 'created', at: sendAfter }])
    await world.pass(3 * 3600 + 1)
    await runDue(world, await newProcess(world), id, 0)
    expect(await rowOf(world, id)).toMatchObject({
      final_status: 'queued',
      next_retry_at: null,
      error_message: null,
    })
    expect(world.simulator.messages()).toHaveLength(1)
  })

  test('is not sent early, even if its job runs and its row says so', async () => {
    const world = await newTimedWorld()
    const { id } = await world.sender.send(message({ sendAfter: fromNow(3 * HOUR) }))
    await world.database.query('update sms_usage_logs set next_retry_at = null')
    await runDue(world, await newProcess(world), id, 0)
    expect(await rowOf(world, id)).toMatchObject({
      final_status: 'pending',
      error_message: expect.stringMatching(/sendAfter/),
    })
    expect(world.simulator.messages()).toEqual([])
  })

  test('a year ahead is sent although its job was deleted after two weeks', async () => {
    const world = await newTimedWorld()
    const deps = await newProcess(world)
    const { id } = await world.sender.send(message({ sendAfter: fromNow(365 * DAY) }))
    await world.pass(14 * 24 * 3600)
    await world.database.query('delete from sms_retry_pgboss.job')
    // The sweeps of a year, each at the time that the row asks for.
    let checks = 0
    for (let day = 14; day < 365; day += 1) {
      const { looked, rungAgain } = await reconcile(deps)
      expect(rungAgain).toBe(0)
      checks += looked
      await world.pass(24 * 3600)
    }
    // Each check locks and rewrites the row, so thousands of waiting messages must not be checked every few hours.
    expect(checks).toBeGreaterThan(10)
    expect(checks).toBeLessThan(50)
    await world.pass(60)
    expect(await reconcile(deps)).toEqual({ ...NOTHING, looked: 1, rungAgain: 1 })
    expect(await jobsOf(world)).toEqual([{ state: 'created', attempt: 0, due: true }])
    await runDue(world, deps, id, 0)
    expect(world.simulator.messages()).toHaveLength(1)
  })

  test('keeps its job for a year in the queue', async () => {
    const world = await newWorld()
    await world.sender.send(message({ sendAfter: fromNow(365 * DAY) }))
    const [job] = await world.database.query<{ keepsFor: number }>(
      `select extract(epoch from keep_until - start_after)::float8 / 86400 as "keepsFor" from sms_retry_pgboss.job
        where name = 'attempt'`,
    )
    expect(job?.keepsFor).toBeGreaterThanOrEqual(14)
  })
})

describe('outside the window,', () => {
  test('a due attempt waits for the opening, and uses up nothing', async () => {
    const world = await newTimedWorld()
    const { id } = await world.sender.enqueue(message(CLOSED()), { db: await appClient(world) })
    await world.database.query('update sms_usage_logs set next_retry_at = null')
    await runDue(world, await newProcess(world), id, 0)
    const row = await rowOf(world, id)
    expect(row).toMatchObject({ final_status: 'pending', retry_count: 0 })
    expect(row.next_retry_at?.getTime()).toBeGreaterThan(Date.now() + HOUR)
    expect(world.simulator.messages()).toEqual([])
  })

  test('a manual retry is scheduled for the opening, with the reason', async () => {
    const world = await newTimedWorld({}, setting(2 * HOUR, 5 * HOUR))
    const deps = await newProcess(world)
    const { id } = await world.sender.send(message({ to: '+15552161001', sendWindow: 'any' }))
    await world.database.query(`update sms_usage_logs set sms_metadata = sms_metadata - 'send_window'`)
    const found = await findMessage(deps.database, id)
    if (found === null) throw new Error('The message does not exist')
    const acted = await actOnMessage(deps, found, { kind: 'retry', seen: null, force: true })
    const row = await rowOf(world, id)
    expect(acted).toMatchObject({ outcome: 'done', message: { nextRetryAt: row.next_retry_at } })
    expect(row).toMatchObject({
      final_status: 'retrying',
      error_message: expect.stringMatching(/^A retry was requested manually\. It waits for its send window/),
    })
    expect(row.next_retry_at?.getTime()).toBeGreaterThan(Date.now() + HOUR)
    expect(await jobs(world)).toEqual([{ state: 'created', at: row.next_retry_at }])
  })

  test('an attempt that Twilio does not have is made again in the opening', async () => {
    const world = await newTimedWorld({ chaos: { hangBefore: 1 } }, setting(-HOUR, 4 * MINUTE))
    const { id, status } = await world.sender.send(message())
    expect(status).toBe('in_doubt')
    world.simulator.setChaos({ hangBefore: 0 })
    await world.database.query(
      `update sms_usage_logs set sms_metadata = sms_metadata || jsonb_build_object('send_window', $1::text, 'time_zone', 'UTC')`,
      [Object.values(CLOSED().sendWindow ?? {}).join('-')],
    )
    await world.pass(60)
    expect(await reconcile(await newProcess(world))).toMatchObject({ asked: 1, absent: 1 })
    const row = await rowOf(world, id)
    expect(row).toMatchObject({
      final_status: 'pending',
      retry_count: 0,
      error_message: expect.stringMatching(
        /^Twilio did not receive the message.*It waits for its send window/,
      ),
    })
    expect(row.next_retry_at?.getTime()).toBeGreaterThan(Date.now() + HOUR)
    expect(world.simulator.messages().map(({ answer }) => answer)).toEqual(['hung_before'])
  })
})
