// What the statements of every callback and every attempt cost the server beside their rows: each is planned once a
// connection, and finds its rows by their index.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { lockMessages, updateMessages } from '../../src/db/messages.ts'
import type { Database, Db } from '../../src/db/pool.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { open } from './original-table.ts'
import { genericPlanOf } from './plan.ts'

let own: TestDatabase
let database: Database

/** A table that is cheap to read as a whole, and expensive enough for a plan to be worth while. */
const ROWS = 4_000

beforeAll(async () => {
  own = await createTestDatabase()
  database = open(own, 1)
  await own.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content,
                                 final_status, twilio_message_sid)
     select 1, '+12065550100', 'outbound', 5, 'Hello', 'sent', 'SM' || md5(n::text) from generate_series(1, $1::integer) as n`,
    [ROWS],
  )
  await own.query('vacuum analyze sms_usage_logs')
})

afterAll(async () => {
  await database.close()
  await own.drop()
})

/** The server plans a prepared statement for the values of each of so many executions, before it compares. */
const TRIED_WITH_VALUES = 5

describe.each([
  { list: 'ids', ids: [7], sids: [] },
  { list: 'ids and sids', ids: [8], sids: [`SM${'0'.repeat(32)}`] },
])('a short list of $list, again and again', ({ ids, sids }) => {
  test('is planned no more after the first few times', async () => {
    const times = TRIED_WITH_VALUES + 10
    for (let i = 0; i < times; i += 1) {
      await database.transaction(async (tx) => {
        const locked = await lockMessages(tx, ids, sids, 'skip')
        await updateMessages(
          tx.atCommit,
          locked.map(({ message }) => message),
        )
      })
    }
    const { rows } = await database.executeSql<{ planned: number; inAll: number }>(
      `select custom_plans::integer as "planned", (custom_plans + generic_plans)::integer as "inAll"
         from pg_prepared_statements
        where statement like '%sms_usage_logs%' and custom_plans + generic_plans >= $1::integer`,
      [times],
    )
    expect(rows.length).toBeGreaterThanOrEqual(2)
    for (const { planned } of rows) expect(planned).toBe(TRIED_WITH_VALUES)
  })
})

test.each<[what: string, run: (db: Db) => Promise<unknown>]>([
  ['locking by ids', (db) => lockMessages(db, [1], [])],
  ['locking by ids, and leaving out what is locked', (db) => lockMessages(db, [1], [], 'skip')],
  ['locking by ids and sids', (db) => lockMessages(db, [1], ['SM1'])],
  ['writing', (db) => updateMessages(db, [])],
])('%s goes by the index of each, also in a small table', async (_what, run) => {
  const { scans } = await genericPlanOf(own, run)
  expect(scans.map((scan) => scan['Index Name'])).toContain('sms_usage_logs_pkey')
  expect(scans.map((scan) => scan['Node Type'])).not.toContain('Seq Scan')
})
