// The migrations on databases whose parts are elsewhere than expected, got lost, belong to others, or have time-outs
// of their own.
import { afterEach, expect, test } from '@jest/globals'
import { migrate } from '../../src/migrate.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { dumpSchema } from '../support/schema-dump.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { ALL_INDEXES_VALID, configOf, indexesOf, ORIGINAL_ROWS, ORIGINAL_TABLE } from './original-table.ts'

const databases: TestDatabase[] = []

async function databaseWith(...statements: string[]): Promise<TestDatabase> {
  const database = await createTestDatabase(null)
  databases.push(database)
  for (const statement of statements) await database.query(statement)
  return database
}

afterEach(async () => {
  for (const database of databases.splice(0)) await database.drop()
})

const migrated = (database: TestDatabase) => migrate(configOf(database), silentLogger)

/** For every session that begins from now on. */
const setForAll = (setting: string, value: string): string =>
  `do $$ begin
     execute format('alter database %I set ${setting} = ${value}', current_database());
   end $$`

test('the table of another schema in the search path is completed, and not hidden by a second one', async () => {
  const database = await databaseWith(
    ORIGINAL_TABLE,
    ORIGINAL_ROWS,
    'create schema app',
    setForAll('search_path', 'app, public'),
  )
  await migrated(database)
  const tables = await database.query(
    `select relnamespace::regnamespace::text as "schema" from pg_class where relname = 'sms_usage_logs'`,
  )
  expect(tables).toEqual([{ schema: 'public' }])
  expect(await indexesOf(database)).toEqual(ALL_INDEXES_VALID)
})

test.each([
  'retry_count',
  'max_retries',
  'next_retry_at',
  'twilio_message_sid',
  'final_status',
])('a column %s that got lost comes back, with the indexes that went with it', async (column) => {
  const database = await databaseWith(ORIGINAL_TABLE, ORIGINAL_ROWS)
  await migrated(database)
  await database.query(`alter table sms_usage_logs drop column ${column}`)
  expect(await migrated(database)).toContain('001-message-table')
  await database.query(`select ${column} from sms_usage_logs`)
  expect(await indexesOf(database)).toEqual(ALL_INDEXES_VALID)
  expect(await migrated(database)).toEqual([])
})

test('a table that got lost comes back, whatever the bookkeeping says', async () => {
  const database = await databaseWith(ORIGINAL_TABLE)
  await migrated(database)
  const schema = await dumpSchema(database)
  await database.query('drop table sms_usage_logs')
  await migrated(database)
  expect(await dumpSchema(database)).toBe(schema)
})

test('a table restored from before sms-retry is completed, whatever the bookkeeping says', async () => {
  const database = await databaseWith()
  await migrated(database)
  const schema = await dumpSchema(database)
  await database.query('drop table sms_usage_logs')
  await database.query(ORIGINAL_TABLE)
  await database.query(ORIGINAL_ROWS)
  await migrated(database)
  expect(await dumpSchema(database)).toBe(schema)
})
