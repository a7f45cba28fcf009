// Tests migrations of difficult tables: large and in use, with rows that violate an index, or left by an interrupted
// migration. processes/migrate.test.ts tests the ordinary ones.
import { describe, expect, test } from '@jest/globals'
import { SchemaError } from '../../src/shared/errors.ts'
import type { TestDatabase } from '../support/database.ts'
import { waitFor } from '../support/wait-for.ts'
import { connect, databaseWith, failureOf, migrated, openSnapshot } from './migrating.ts'
import {
  ALL_INDEXES_VALID,
  COLUMNS_WITHOUT_ZONE,
  fileOf,
  indexesOf,
  ORIGINAL_ROWS,
  ORIGINAL_TABLE,
} from './original-table.ts'

const ROWS = 100_000

/** The indexes in the order in which the migrations build them. */
const BUILDS = [
  'idx_sms_usage_logs_retry',
  'idx_sms_usage_logs_twilio_message_sid_is_unique',
  'idx_sms_usage_logs_idempotency_key_is_unique',
  'idx_sms_usage_logs_in_flight',
  'idx_sms_usage_logs_reconcile',
  'idx_sms_usage_logs_phone_number',
  'idx_sms_usage_logs_time',
  'idx_sms_usage_logs_trouble',
]

/** The index that a migration is building and that an older snapshot blocks. */
async function heldUpBuild(database: TestDatabase, unlike: readonly string[]): Promise<string> {
  return waitFor(`an index build that is held up, other than ${unlike.join(', ')}`, async () => {
    const [row] = await database.query<{ name: string }>(
      `select c.relname as "name"
         from pg_stat_progress_create_index p
         join pg_class c on c.oid = p.index_relid
         join pg_stat_activity a on a.pid = p.pid
        where p.datname = current_database() and p.command = 'CREATE INDEX CONCURRENTLY'
          and a.wait_event = 'virtualxid'`,
    )
    return row !== undefined && !unlike.includes(row.name) && row.name
  })
}

test(`a table of ${ROWS} rows is not rewritten, and the app can write to it while each index is built`, async () => {
  const database = await databaseWith(
    ORIGINAL_TABLE,
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content)
     select n, '+1206' || n, 'outbound', 5, 'Hello' from generate_series(1, ${ROWS}) n`,
  )
  const file = await fileOf(database)
  const app = await connect(database)
  // Fail instead of waiting if an index build locks the app out.
  await app.query(`set lock_timeout = '10s'`)

  let snapshot = await openSnapshot(database)
  const migrating = migrated(database)
  const builds: string[] = []
  while (builds.length < BUILDS.length) {
    builds.push(await heldUpBuild(database, builds))
    const { rowCount } = await app.query(
      `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length)
       values (0, '+12065550100', 'outbound', 0)`,
    )
    expect(rowCount).toBe(1)
    expect((await app.query(`update sms_usage_logs set success = false where id = 1`)).rowCount).toBe(1)
    // The build waits only for snapshots older than itself; the next build gets its own.
    const next = await openSnapshot(database)
    await snapshot.close()
    snapshot = next
  }
  await snapshot.close()
  await migrating

  expect(builds).toEqual(BUILDS)
  expect(await indexesOf(database)).toEqual(ALL_INDEXES_VALID)
  expect(await fileOf(database)).toBe(file)
  const [count] = await database.query(
    `select count(*)::int as "all", (count(*) filter (where user_id = 0))::int as "byApp" from sms_usage_logs`,
  )
  expect(count).toEqual({ all: ROWS + BUILDS.length, byApp: BUILDS.length })
})

test('a migration fails with what to do instead of waiting for a long transaction', async () => {
  const database = await databaseWith(ORIGINAL_TABLE, ORIGINAL_ROWS)
  const app = await connect(database)
  await app.query('begin')
  await app.query(`update sms_usage_logs set success = true where id = 1`)
  const failure = await failureOf(database)
  expect(failure).toBeInstanceOf(SchemaError)
  expect((failure as Error).message).toContain('long transaction')
  await app.query('commit')
  await migrated(database)
  expect(await indexesOf(database)).toEqual(ALL_INDEXES_VALID)
})

describe('a migration that was interrupted in CREATE INDEX CONCURRENTLY', () => {
  /** Closes the connection of the migration while it builds index number `nth` (from 0). */
  async function cutOff(database: TestDatabase, nth: number): Promise<void> {
    let snapshot = await openSnapshot(database)
    const failing = failureOf(database)
    const builds: string[] = []
    for (;;) {
      const name = await heldUpBuild(database, builds)
      if (builds.push(name) > nth) break
      const next = await openSnapshot(database)
      await snapshot.close()
      snapshot = next
    }
    await database.query(
      `select pg_terminate_backend(pid) from pg_stat_progress_create_index where datname = current_database()`,
    )
    expect(await failing).toBeInstanceOf(Error)
    await snapshot.close()
  }

  test.each([
    ...BUILDS.entries(),
  ])('(index %i) leaves %s invalid, and the next migration repairs it', async (nth, name) => {
    const database = await databaseWith(ORIGINAL_TABLE, ORIGINAL_ROWS)
    await cutOff(database, nth)
    expect(await indexesOf(database)).toContainEqual({ name, valid: false })
    await migrated(database)
    expect(await indexesOf(database)).toEqual(ALL_INDEXES_VALID)
  })
})

test('a migration that was interrupted while it drops an invalid index is completed by the next one', async () => {
  const database = await databaseWith(ORIGINAL_TABLE, ORIGINAL_ROWS)
  await migrated(database)
  const name = 'idx_sms_usage_logs_phone_number'
  await database.query(`delete from sms_retry.migrations where name = '007-phone-number-index'`)
  await database.query(`drop index ${name}`)
  // As after an interrupted build: the rows violate the index.
  const building = database
    .query(`create unique index concurrently ${name} on sms_usage_logs (message_direction)`)
    .catch((error: Error) => error)
  expect(await building).toMatchObject({ code: '23505' })
  // An open transaction that has used the table may be using the index.
  const app = await connect(database)
  await app.query('begin')
  await app.query('select 1 from sms_usage_logs')
  const failing = failureOf(database)
  await waitFor('the drop to wait for the app, and to be cut off', async () => {
    const [cut] = await database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'sms-retry migrate' and datname = current_database()
          and wait_event = 'virtualxid' and query like 'drop index%'`,
    )
    return cut
  })
  expect(await failing).toBeInstanceOf(Error)
  expect(await indexesOf(database)).toContainEqual({ name, valid: false })
  await app.query('commit')
  expect(await migrated(database)).toEqual(['007-phone-number-index'])
  expect(await indexesOf(database)).toEqual(ALL_INDEXES_VALID)
})

test.each([
  ['dropped', 'drop index idx_sms_usage_logs_retry'],
  [
    'made invalid',
    `update pg_index set indisvalid = false where indexrelid = 'idx_sms_usage_logs_retry'::regclass`,
  ],
])('an index that was %s after its migration is rebuilt', async (_what, statement) => {
  const database = await databaseWith(ORIGINAL_TABLE, ORIGINAL_ROWS)
  await migrated(database)
  await database.query(statement)
  expect(await migrated(database)).toEqual(['002-retry-index'])
  expect(await indexesOf(database)).toEqual(ALL_INDEXES_VALID)
  expect(await migrated(database)).toEqual([])
})

test('an invalid index of the app is not touched', async () => {
  const database = await databaseWith(ORIGINAL_TABLE, ORIGINAL_ROWS)
  const building = database
    .query('create unique index concurrently idx_sms_usage_logs_app on sms_usage_logs (message_direction)')
    .catch((error: Error) => error)
  expect(await building).toBeInstanceOf(Error)
  await migrated(database)
  expect(await indexesOf(database)).toEqual([
    { name: 'idx_sms_usage_logs_app', valid: false },
    ...ALL_INDEXES_VALID,
  ])
})

describe.each([
  {
    what: 'twilio_message_sid',
    double: `update sms_usage_logs set twilio_message_sid = 'SM1' where id in (1, 4)`,
    found: { twilio_message_sid: 'SM1', count: '2', min: 1, max: 4 },
    clear: 'update sms_usage_logs set twilio_message_sid = null where id = 4',
    again: `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, twilio_message_sid)
            values (9, '+12065550109', 'outbound', 0, 'SM1')`,
  },
  {
    what: "sms_metadata ->> 'idempotency_key'",
    double: `update sms_usage_logs set sms_metadata = '{"idempotency_key": "k"}' where id in (1, 4)`,
    found: { '?column?': 'k', count: '2', min: 1, max: 4 },
    clear: 'update sms_usage_logs set sms_metadata = null where id = 4',
    again: `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, sms_metadata)
            values (9, '+12065550109', 'outbound', 0, '{"idempotency_key": "k"}')`,
  },
])('two rows with the same $what', ({ what, double, found, clear, again }) => {
  test('cause a SchemaError with a query that finds them, and the migration succeeds once they are cleared', async () => {
    const database = await databaseWith(ORIGINAL_TABLE, COLUMNS_WITHOUT_ZONE, ORIGINAL_ROWS, double)
    const failure = await failureOf(database)
    expect(failure).toBeInstanceOf(SchemaError)
    const { message } = failure as Error
    expect(message).toContain(`share one ${what}`)
    const query = message.split('\n').find((line) => line.trim().startsWith('select'))
    expect(await database.query(query ?? '')).toEqual([found])

    await database.query(clear)
    await migrated(database)
    expect(await indexesOf(database)).toEqual(ALL_INDEXES_VALID)
    await expect(database.query(again)).rejects.toMatchObject({ code: '23505' })
  })

  test('stop the migration, but not the app, which can write a third one', async () => {
    const database = await databaseWith(ORIGINAL_TABLE, COLUMNS_WITHOUT_ZONE, ORIGINAL_ROWS, double)
    expect(await failureOf(database)).toBeInstanceOf(SchemaError)
    await database.query(again)
  })
})
