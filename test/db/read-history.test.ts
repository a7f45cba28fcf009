// Tests that the history is read from the table completely, page by page, whatever an app has written into it.
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { readHistory } from '../../src/db/read-history.ts'
import type { Database } from '../../src/postgres/pool.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { open } from './original-table.ts'
import { planOf, rowsReadBy } from './plan.ts'

const MONTH = 30 * 24 * 3600

let own: TestDatabase
let database: Database
beforeAll(async () => {
  own = await createTestDatabase()
  database = open(own)
})
afterAll(async () => {
  await database.close()
  await own.drop()
})
beforeEach(() => own.query('truncate sms_usage_logs'))

/** Messages that failed, were retried after 300 seconds, and failed again; one a minute, the newest now. */
const FAILED_MESSAGES = `
  insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status, success,
                              retry_count, max_retries, created_at, sms_metadata)
  select 7, '+12065550100', 'outbound', 5, 'undelivered', false, 1, 3, now() - make_interval(mins => n),
         jsonb_build_object('attempts', jsonb_build_array(
           jsonb_build_object('number', 0, 'status', 'undelivered', 'error_code', 30003, 'segments', 2, 'times', jsonb_build_object(
             'submitting', '2026-06-01T12:00:00.000Z', 'undelivered', '2026-06-01T12:00:10.000Z')),
           jsonb_build_object('number', 1, 'status', 'undelivered', 'error_code', 30003, 'times', jsonb_build_object(
             'pending', '2026-06-01T12:00:10.000Z', 'submitting', '2026-06-01T12:05:10.000Z',
             'undelivered', '2026-06-01T12:05:20.000Z'))))
    from generate_series(0, $1::integer - 1) as n`

test('more messages than a page are read once each, with codes, delays and segments', async () => {
  await own.query(FAILED_MESSAGES, [12_000])
  // Of the same time, so that only the id tells them apart.
  await own.query(`update sms_usage_logs set created_at = now() - interval '1 hour' where id % 2 = 0`)
  const { paths, leftOut, isComplete } = await readHistory(database, MONTH)
  expect(paths).toEqual([
    {
      ...{ codes: [30003, 30003], end: 'failed', maxRetries: 3, remainingSeconds: null },
      retries: [{ waitSeconds: expect.any(Number), elapsedSeconds: expect.any(Number) }],
      ...{ messages: 12_000, measured: 12_000, segments: 24_000 },
    },
  ])
  expect(Math.abs((paths[0]?.retries[0]?.waitSeconds ?? 0) - 300)).toBeLessThan(10)
  expect(leftOut).toEqual({ account: 0, corrected: 0, untimed: 0, byHand: 0 })
  expect(isComplete).toBe(true)
})

test('only the newest messages are read up to the limit, and the history says so', async () => {
  await own.query(FAILED_MESSAGES, [20])
  const countWith = async (limit: number): Promise<readonly [number, boolean]> => {
    const { paths, isComplete } = await readHistory(database, MONTH, limit)
    return [paths.reduce((sum, { messages }) => sum + messages, 0), isComplete]
  }
  expect(await countWith(19)).toEqual([19, false])
  expect(await countWith(20)).toEqual([20, true])
})

test('older messages, inbound ones and those delivered at the first attempt are not read', async () => {
  await own.query(FAILED_MESSAGES, [3])
  await own.query(
    `update sms_usage_logs set created_at = now() - interval '2 days' where id = (select min(id) from sms_usage_logs)`,
  )
  await own.query(
    `update sms_usage_logs set message_direction = 'inbound' where id = (select max(id) from sms_usage_logs)`,
  )
  await own.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status)
     values (7, '+12065550100', 'outbound', 5, 'delivered')`,
  )
  const { paths } = await readHistory(database, 24 * 3600)
  expect(paths).toMatchObject([{ messages: 1 }])
})

test('metadata that the app wrote in another form does not fail the reading', async () => {
  await own.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status, retry_count, sms_metadata)
     select 7, '+12065550100', 'outbound', 5, 'failed', 1, odd
       from unnest($1::jsonb[]) as o (odd)`,
    [
      [
        ...[
          null,
          '[]',
          '"text"',
          '{"attempts": {"segments": "two"}}',
          '{"attempts": [1, null, {"number": "x"}]}',
        ],
        '{"attempts": [{"number": 0, "status": "failed", "segments": 1e400, "times": {"failed": "yesterday"}}]}'.replace(
          '1e400',
          '1e300',
        ),
        '{"attempts": [{"number": 0, "status": "failed", "segments": {"a": 1}, "times": []}], "deadline": "never"}',
      ],
    ],
  )
  const { paths, isComplete } = await readHistory(database, MONTH)
  expect([paths, isComplete]).toEqual([[], true])
})

test('messages delivered at the first attempt are skipped in the index, without reading their rows', async () => {
  await own.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status, created_at,
                                 sms_metadata)
     select 7, '+12065550100', 'outbound', 5, 'delivered', now() - make_interval(secs => n),
            jsonb_build_object('attempts', repeat('x', 600))
       from generate_series(1, 50000) as n`,
  )
  await own.query(FAILED_MESSAGES, [100])
  // Pages are marked all-visible only after the commits are on disk.
  await own.query('checkpoint')
  await own.query('vacuum analyze sms_usage_logs')
  const { scans } = await planOf(own, (db) => readHistory(db, MONTH))
  const [byTime] = scans.filter((scan) => scan['Index Name'] === 'idx_sms_usage_logs_trouble')
  expect(byTime?.['Node Type']).toBe('Index Only Scan')
  const others = scans.filter((scan) => scan !== byTime && scan['Node Type'] !== 'CTE Scan')
  expect(others.map(rowsReadBy).reduce((sum, rows) => sum + rows, 0)).toBeLessThanOrEqual(100)
})
