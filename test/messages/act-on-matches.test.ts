// Tests bulk actions on real rows and jobs: each message is acted upon at most once, retries are spread over time, and a row
// that cannot be changed does not stop the others.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { readNow } from '../../src/db/search.ts'
import { createRetryPolicy } from '../../src/delivery/retry-policy.ts'
import { type Queue, startQueue } from '../../src/jobs/queue.ts'
import { actOnMatches, type BulkAction, countMatches, searchOf } from '../../src/messages/act-on-matches.ts'
import type { BulkResult } from '../../src/messages/bulk-result.ts'
import { type MessageFilter, toSearch } from '../../src/messages/message-filter.ts'
import { retriesPerSecond } from '../../src/messages/retry-pace.ts'
import type { Database } from '../../src/postgres/pool.ts'
import { open } from '../db/original-table.ts'
import { jobs } from '../http/endpoint.ts'
import { UNRESTRICTED } from '../support/circumstances.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { newMetrics } from '../support/metrics.ts'
import { capturingLogger, type LogLine } from '../support/world.ts'

let own: TestDatabase
let database: Database
let queue: Queue
const log: LogLine[] = []
const logger = capturingLogger(log)
const policy = createRetryPolicy({ jitter: 0 })

beforeAll(async () => {
  own = await createTestDatabase()
  database = open(own)
  queue = await startQueue(database, 'schedule', logger)
})

afterEach(async () => {
  log.length = 0
  await own.query('truncate sms_usage_logs')
  await own.query('delete from sms_retry_pgboss.job')
})

afterAll(async () => {
  await queue.stop(1_000)
  await database.close()
  await own.drop()
})

const deps = () => ({
  ...{ database, queue, policy, circumstances: UNRESTRICTED, logger, metrics: newMetrics(policy) },
  random: () => 0,
})

async function actionOf(
  kind: BulkAction['kind'],
  filter: MessageFilter,
  fields: Partial<BulkAction> = {},
): Promise<BulkAction> {
  const start = await readNow(database)
  const search = toSearch(filter, start.at)
  return { kind, search, force: false, by: 'Ann', start, retriesPerSecond: 100, ...fields }
}

/** Messages that failed with this code two hours ago, one per second; the older has the lower id. */
async function insertFailed(many: number, code = 30003, user = 1): Promise<void> {
  await own.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content, created_at,
                                 final_status, success, twilio_message_sid, sms_metadata)
     select $3, '+12065550100', 'outbound', 5, 'Hello', now() at time zone 'UTC' - interval '2 h' + n * interval '1 s',
            'undelivered', false, 'SM' || md5(random()::text),
            jsonb_build_object('attempts', jsonb_build_array(jsonb_build_object(
              'number', 0, 'status', 'undelivered', 'error_code', $2::integer, 'times',
              '{"submitting": "2026-01-01T00:00:00.000Z", "undelivered": "2026-01-01T00:00:09.000Z"}'::jsonb)))
       from generate_series(1, $1::integer) as n`,
    [many, code, user],
  )
}

const insertDelivered = (many: number): Promise<unknown> =>
  own.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status, twilio_message_sid)
     select 1, '+12065550100', 'outbound', 5, 'delivered', 'SM' || md5(random()::text) from generate_series(1, $1::integer)`,
    [many],
  )

const idsWith = async (condition: string): Promise<number[]> =>
  (await own.query<{ id: number }>(`select id from sms_usage_logs where ${condition} order by id`)).map(
    ({ id }) => id,
  )

const run = (action: BulkAction, range = {}): Promise<BulkResult> =>
  actOnMatches(deps(), action, { after: null, ...range })

describe('a bulk retry', () => {
  test('does to each message what the dry run said, and the row names the person', async () => {
    await insertFailed(230)
    await insertDelivered(7)
    await insertFailed(5, 21610)
    const action = await actionOf('retry', { since: { secondsAgo: 86_400 } })
    const planned = await countMatches(deps(), action, { after: null })
    expect(planned).toMatchObject({ matched: 242, changed: 230, failed: 0, isComplete: true })
    expect([...planned.unchanged]).toEqual([
      ['it is already delivered', 7],
      [expect.stringMatching(/^the policy never retries 21610/), 5],
    ])
    expect(await idsWith(`final_status = 'retrying'`)).toEqual([])
    expect(await jobs(own)).toEqual([])

    expect(await run(action)).toEqual({ ...planned, last: expect.anything() })
    const reason = `error_message = 'A retry was requested manually by Ann'`
    expect(await idsWith(`final_status = 'retrying' and retry_count = 1 and ${reason}`)).toHaveLength(230)
    expect((await jobs(own)).map(({ data }) => data.message).toSorted((a, b) => a - b)).toEqual(
      await idsWith(`final_status = 'retrying'`),
    )
  })

  test('spreads the retries over time, the oldest message first', async () => {
    await insertFailed(250)
    const action = await actionOf('retry', { code: 30003 }, { retriesPerSecond: 0.1 })
    await run(action)
    const rows = await own.query<{ after: number }>(
      `select (extract(epoch from next_retry_at) - $1)::float as "after" from sms_usage_logs order by id`,
      [action.start.at.getTime() / 1000],
    )
    // If its planned time has passed, the first attempt is due when its row is written.
    const [first = Number.NaN, ...others] = rows.map(({ after }, i) => after - i * 10)
    const [second = Number.NaN] = others
    expect(first).toBeGreaterThanOrEqual(0)
    expect(Math.max(...others) - second).toBeLessThan(0.01)
    expect(second - Math.min(...others)).toBeLessThan(0.01)
    expect(others).toHaveLength(249)
  })

  test('that continues goes on at the same pace', async () => {
    await insertFailed(30)
    const action = await actionOf('retry', { code: 30003 }, { retriesPerSecond: 0.1 })
    const first = await run(action, { maxMatched: 20 })
    expect(first).toMatchObject({ matched: 20, changed: 20, isComplete: false })
    expect(await run(action, { after: first.last, alreadyChanged: 20 })).toMatchObject({
      matched: 10,
      changed: 10,
      isComplete: true,
    })
    const [row] = await own.query<{ seconds: number }>(
      `select extract(epoch from max(next_retry_at) - min(next_retry_at))::float as "seconds" from sms_usage_logs`,
    )
    expect(row?.seconds).toBeGreaterThan(289)
    expect(row?.seconds).toBeLessThan(291)
  })

  test('that runs again leaves the retries of the first run at their times', async () => {
    await insertFailed(250)
    const dueTimes = () => own.query('select id, next_retry_at from sms_usage_logs order by id')
    await run(await actionOf('retry', { code: 30003 }, { retriesPerSecond: 1 }))
    const planned = await dueTimes()
    const again = await actionOf('retry', { code: 30003 }, { retriesPerSecond: 1 })
    expect(await countMatches(deps(), again, { after: null })).toMatchObject({ matched: 250, changed: 0 })
    expect(await run(again)).toMatchObject({ matched: 250, changed: 0 })
    expect(await dueTimes()).toEqual(planned)
  })

  test('uses half of the send rate, so that other messages are sent as well', () => {
    expect(retriesPerSecond(10)).toBe(5)
    expect(retriesPerSecond(null)).toBe(50)
  })

  test('leaves out canceled messages, unless the filter names their status', async () => {
    await insertFailed(2)
    await own.query(
      `update sms_usage_logs set final_status = 'canceled' where id = (select min(id) from sms_usage_logs)`,
    )
    const all = await actionOf('retry', { user: '1' })
    expect(searchOf(all).statuses).not.toContain('canceled')
    expect(await countMatches(deps(), all, { after: null })).toMatchObject({ matched: 1 })
    const canceled = await actionOf('retry', { status: ['canceled'] })
    expect(await countMatches(deps(), canceled, { after: null })).toMatchObject({ matched: 1, changed: 1 })
  })

  test('does not retry a message again that fails again while it runs', async () => {
    await insertFailed(150)
    const action = await actionOf('retry', { code: 30003 })
    await run(action)
    // All of them fail again, and the same action runs again, as after a second click on one form.
    await own.query(
      `update sms_usage_logs
          set final_status = 'undelivered', next_retry_at = null,
              sms_metadata = jsonb_set(sms_metadata, '{attempts,1}', jsonb_build_object(
                'number', 1, 'status', 'undelivered', 'error_code', 30003, 'times', jsonb_build_object(
                  'undelivered', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))))`,
    )
    const again = await run(action)
    expect(again).toMatchObject({ matched: 150, changed: 0 })
    expect([...again.unchanged]).toEqual([['it changed in the meantime', 150]])
    expect(await idsWith('retry_count > 1')).toEqual([])
  })

  test('leaves alone the messages that are added after its start', async () => {
    await insertFailed(3)
    const action = await actionOf('retry', { code: 30003 })
    await insertFailed(4)
    expect(await run(action)).toMatchObject({ matched: 3, changed: 3 })
  })

  test('in two processes at the same time retries each message once', async () => {
    await insertFailed(300)
    const action = await actionOf('retry', { code: 30003 })
    const results = await Promise.all([run(action), run(action)])
    expect(results.reduce((sum, { changed }) => sum + changed, 0)).toBe(300)
    expect(await idsWith('retry_count = 1')).toHaveLength(300)
    expect(await jobs(own)).toHaveLength(300)
  })

  test('stops after the current batch when its signal is aborted, and continues there', async () => {
    await insertFailed(250)
    const action = await actionOf('retry', { code: 30003 })
    const stop = new AbortController()
    const stopped = await actOnMatches(deps(), action, { after: null, signal: stop.signal }, () =>
      stop.abort(),
    )
    expect(stopped).toMatchObject({ matched: 100, changed: 100, isComplete: false })
    expect(await run(action, { after: stopped.last })).toMatchObject({ matched: 150, changed: 150 })
  })

  test('changes the other messages if the database refuses one and another session locks one', async () => {
    await insertFailed(120)
    const ids = await idsWith('true')
    await own.query(
      `create function refuse() returns trigger language plpgsql as $$ begin raise 'refused' using errcode = '23514'; end $$`,
    )
    await own.query(
      `create trigger refuse before update on sms_usage_logs for each row when (old.id = ${ids[7]}) execute function refuse()`,
    )
    const session = new pg.Client({ connectionString: own.url })
    await session.connect()
    await session.query('begin')
    await session.query('select from sms_usage_logs where id = $1 for update', [ids[50]])
    const result = await run(await actionOf('retry', { code: 30003 }))
    await session.query('rollback')
    await session.end()
    await own.query('drop trigger refuse on sms_usage_logs')
    expect(result).toMatchObject({ matched: 120, changed: 118, failed: 2, isComplete: true })
    expect(await idsWith(`final_status = 'undelivered'`)).toEqual([ids[7], ids[50]])
    const warned = log.filter(({ level }) => level === 'warn').map(({ fields }) => fields['messageId'])
    expect(warned.toSorted()).toEqual([ids[7], ids[50]].toSorted())
  })

  test('changes all messages that are not locked if another session locks many', async () => {
    await insertFailed(100)
    const session = new pg.Client({ connectionString: own.url })
    await session.connect()
    await session.query('begin')
    await session.query('select from sms_usage_logs where id % 5 < 3 for update')
    const result = await run(await actionOf('retry', { code: 30003 }))
    await session.query('rollback')
    await session.end()
    expect(result).toMatchObject({ matched: 100, changed: 40, failed: 60, isComplete: true })
    expect(await idsWith(`final_status = 'retrying' and id % 5 < 3`)).toEqual([])
  })

  test('is logged once with the person, and without users, numbers and values of metadata', async () => {
    await insertFailed(2)
    const filter = {
      ...{ user: '1', number: '0100', code: 30003 },
      metadata: [{ key: 'customer', value: 'Jane' }],
    }
    await run(await actionOf('retry', filter))
    expect(log.filter(({ level }) => level === 'info')).toEqual([
      {
        level: 'info',
        message: 'Bulk action',
        fields: expect.objectContaining({
          ...{ action: 'retry', by: 'Ann', code: 30003, hasUser: true, hasNumber: true },
          ...{ metadataKeys: ['customer'], matched: 0, changed: 0, failed: 0, isComplete: true },
        }),
      },
    ])
    expect(JSON.stringify(log)).not.toMatch(/Jane|0100/)
  })
})

test('a bulk cancel cancels the messages that wait and their jobs, and no others', async () => {
  await insertFailed(130)
  await insertDelivered(20)
  await run(await actionOf('retry', { code: 30003 }))
  expect(await jobs(own)).toHaveLength(130)
  const result = await run(await actionOf('cancel', { user: '1' }))
  expect(result).toMatchObject({ matched: 150, changed: 130 })
  const reason = `error_message = 'Canceled by Ann before the next attempt'`
  expect(await idsWith(`final_status = 'canceled' and ${reason}`)).toHaveLength(130)
  expect(await jobs(own)).toEqual([])
})

test('a bulk action for another user changes nothing', async () => {
  await insertFailed(3, 30003, 8)
  expect(await run(await actionOf('retry', { user: '7' }))).toMatchObject({ matched: 0, isComplete: true })
})
