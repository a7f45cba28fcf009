// The migrations on databases whose parts are elsewhere than expected, got lost, belong to others, or have time-outs
// of their own.
import { afterEach, expect, test } from '@jest/globals'
import { migrate } from '../../src/migrate.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
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
