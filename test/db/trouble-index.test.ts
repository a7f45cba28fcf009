// What is read of messages that failed or were retried does not grow with the messages that were delivered at the first try.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { readCodeFigures, readFailedAttempts } from '../../src/db/failed-attempts.ts'
import { countFailures } from '../../src/db/failures.ts'
import { countLost } from '../../src/db/lost.ts'
import { readHistory } from '../../src/db/read-history.ts'
import { searchMessages } from '../../src/db/search.ts'
import { toSearch } from '../../src/messages/message-filter.ts'
import type { Db } from '../../src/postgres/pool.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { planOf, rowsReadBy } from './plan.ts'

const MONTH = { seconds: 30 * 86_400, bucketSeconds: 86_400 }

let own: TestDatabase
beforeAll(async () => {
  own = await createTestDatabase()
  await own.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status, created_at,
                                 sms_metadata)
     select 7, '+12065550100', 'outbound', 5, case when n % 1000 = 0 then 'undelivered' else 'delivered' end,
            now() - make_interval(secs => n),
            '{"attempts": [{"number": 0, "status": "undelivered", "error_code": 30003}]}'
       from generate_series(1, 50000) as n`,
  )
  // Pages are marked all-visible only after the commits are on disk.
  await own.query('checkpoint')
  await own.query('vacuum analyze sms_usage_logs')
})
afterAll(() => own.drop())

test.each<[string, (db: Db) => Promise<unknown>]>([
  ['lost messages', (db) => countLost(db, MONTH)],
  ['lost messages of the span before', (db) => countLost(db, MONTH, 'before')],
  ['failures by code', (db) => countFailures(db, MONTH.seconds)],
  ['the figures of all codes', (db) => readCodeFigures(db, MONTH.seconds)],
  ['the attempts of one code', (db) => readFailedAttempts(db, 30003, MONTH.seconds)],
  ['the history', (db) => readHistory(db, MONTH.seconds)],
  [
    'a search for a code',
    (db) => searchMessages(db, toSearch({ code: 30003 }, new Date()), null, { limit: 50 }),
  ],
])('%s', async (_what, read) => {
  const { scans } = await planOf(own, read)
  const ofMessages = scans.filter((scan) => scan['Index Name']?.includes('sms_usage_logs'))
  expect(ofMessages.map((scan) => scan['Index Name'])).toContain('idx_sms_usage_logs_trouble')
  // Each of the 50 messages is found in the index, and its row is read.
  expect(ofMessages.map(rowsReadBy).reduce((sum, rows) => sum + rows, 0)).toBeLessThanOrEqual(2 * 50)
})
