// Tests that the cost of finding overdue messages, and rivals for an entry of Twilio's list, does not depend on the size of
// the table. overdue.test.ts tests which ones are found.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { findOthers, findOverdue } from '../../src/db/overdue.ts'
import { newSid } from '../support/callbacks.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { planOf, rowsReadBy } from './plan.ts'

const PAST = '2026-01-01T00:00:00.000Z'
const FUTURE = '9000-01-01T00:00:00.000Z'
const NUMBER = '+12065550100'

const ROWS = 60_000
const OVERDUE = 200
const MAX_READ = 50

let own: TestDatabase

describe('in a large table', () => {
  // A tenth of the messages goes to one number; five of these are in doubt. One in 50 was retried, one in 50 waits for a
  // retry, one in 100 is with Twilio.
  beforeAll(async () => {
    own = await createTestDatabase()
    await own.query(
      `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content,
                                   final_status, success, next_retry_at, retry_count, twilio_message_sid,
                                   sms_metadata)
       select 1, case when n % 10 = 0 then '${NUMBER}' else '+1206' || n % 5000 end, 'outbound', 5, 'Hello',
              case when n % 12000 = 10 then 'submitting' when n % 50 = 1 then 'retrying'
                   when n % 100 = 2 then 'sent' else 'delivered' end,
              n % 50 <> 1, case when n % 50 = 1 then now() end, (n % 50 in (1, 3))::int,
              case when n % 12000 <> 10 then 'SM' || md5(n::text) end,
              jsonb_build_object(
                'idempotency_key', 'order-' || n,
                'reconcile_at', case when n % 12000 = 10 or n % 50 = 1 or n % 100 = 2 then '${FUTURE}' end,
                'attempts', '[{"number": 0, "times": {"submitting": "${PAST}"}}]'::jsonb)
         from generate_series(1, ${ROWS}) n`,
    )
    await own.query(
      `update sms_usage_logs set sms_metadata = sms_metadata || '{"reconcile_at": "${PAST}"}'
        where id in (select id from sms_usage_logs where final_status = 'sent' limit ${OVERDUE})`,
    )
    await own.query('vacuum analyze sms_usage_logs')
  })

  afterAll(() => own.drop())

  test('overdue messages are read from the index', async () => {
    const { root, scans } = await planOf(own, (db) => findOverdue(db, 50))
    expect(root['Actual Rows']).toBe(50)
    expect(scans.map((node) => node['Index Name'])).toEqual(['idx_sms_usage_logs_reconcile'])
    expect(scans.map(rowsReadBy)).toEqual([50])
  })

  test.each([
    ["for an empty part of Twilio's list", []],
    ['for some of its entries', Array.from({ length: 50 }, newSid)],
  ])('rivals are read from the indexes %s', async (_what, sids) => {
    const others = { messageId: 1, to: NUMBER, since: new Date(PAST), sids }
    const { root, scans } = await planOf(own, (db) => findOthers(db, others))
    expect(root['Actual Rows']).toBe(5)
    expect(scans.map((node) => node['Node Type'])).not.toContainEqual(expect.stringContaining('Seq Scan'))
    expect(scans.map((node) => node['Index Name'])).toContain('idx_sms_usage_logs_phone_number')
    expect(Math.max(...scans.map(rowsReadBy))).toBeLessThanOrEqual(MAX_READ)
  })

  test('a query without an index reads the whole table, so these tests can fail', async () => {
    const { scans } = await planOf(own, (db) =>
      db.executeSql('select from sms_usage_logs where user_id = $1', [2]),
    )
    expect(scans.map((node) => node['Node Type'])).toEqual(['Seq Scan'])
    expect(scans.map(rowsReadBy)).toEqual([ROWS])
  })
})
