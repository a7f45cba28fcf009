// Tests the plans of the statements of callbacks and attempts: planned once per connection, and never a scan of the table.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { lockMessages, updateMessages } from '../../src/db/messages.ts'
import type { Database } from '../../src/postgres/pool.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { open } from './original-table.ts'

let own: TestDatabase
/** A new connection without plans. */
let database: Database

beforeAll(async () => {
  own = await createTestDatabase()
})

beforeEach(async () => {
  await own.query('truncate sms_usage_logs restart identity')
  database = open(own, 1)
})

afterEach(() => database.close())

afterAll(() => own.drop())

async function insertRows(count: number): Promise<void> {
  await own.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content,
                                 final_status, twilio_message_sid)
     select 1, '+12065550100', 'outbound', 5, 'Hello', 'sent', 'SM' || md5(random()::text) from generate_series(1, $1::integer)`,
    [count],
  )
}

interface List {
  readonly ids: readonly number[]
  readonly sids: readonly string[]
}

const LISTS: [what: string, list: List][] = [
  ['of ids', { ids: [7], sids: [] }],
  ['of ids and sids', { ids: [7], sids: [`SM${'0'.repeat(32)}`] }],
]

async function writeAgainAndAgain({ ids, sids }: List, times: number): Promise<void> {
  for (let i = 0; i < times; i += 1) {
    await database.transaction(async (tx) => {
      const locked = await lockMessages(tx, ids, sids, 'skip')
      expect(locked).toHaveLength(1)
      updateMessages(
        tx,
        locked.map(({ message }) => message),
        () => undefined,
      )
    })
  }
}

/** The server uses custom plans for this many executions of a prepared statement before it considers a generic one. */
const TRIED_WITH_VALUES = 5

test.each(LISTS)('a short list %s is planned no more after the first few times', async (_what, list) => {
  await insertRows(4_000)
  await own.query('vacuum analyze sms_usage_logs')
  const times = TRIED_WITH_VALUES + 10
  await writeAgainAndAgain(list, times)
  const { rows } = await database.executeSql<{ planned: number }>(
    `select custom_plans::integer as "planned"
       from pg_prepared_statements
      where statement like '%sms_usage_logs%' and custom_plans + generic_plans = $1::integer`,
    [times],
  )
  expect(rows).toEqual([{ planned: TRIED_WITH_VALUES }, { planned: TRIED_WITH_VALUES }])
})

test.each(
  LISTS,
)('a batch %s reads only its own rows, even if the table was small when it was planned', async (_what, list) => {
  await insertRows(20)
  await own.query('vacuum analyze sms_usage_logs')
  await writeAgainAndAgain(list, TRIED_WITH_VALUES + 5)
  await insertRows(5_000)
  const before = await rowsRead()
  await writeAgainAndAgain(list, 10)
  expect((await rowsRead()) - before).toBeLessThan(500)
})

/** The rows and index entries that the connection has read. */
async function rowsRead(): Promise<number> {
  // Otherwise a connection reports its statistics only from time to time.
  await database.executeSql('select pg_stat_force_next_flush()')
  const [row] = await own.query<{ rows: number }>(
    `select (t.seq_tup_read + sum(i.idx_tup_read))::integer as "rows"
       from pg_stat_user_tables as t join pg_stat_user_indexes as i using (relid)
      where t.relname = 'sms_usage_logs'
      group by t.seq_tup_read`,
  )
  return row?.rows ?? 0
}
