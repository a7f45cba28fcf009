// Helpers of the migration tests: databases that are dropped after their test, and concurrent sessions.
import { afterEach } from '@jest/globals'
import pg from 'pg'
import { migrate } from '../../src/processes/migrate.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { configOf } from './original-table.ts'

const databases: TestDatabase[] = []
const clients: pg.Client[] = []

afterEach(async () => {
  for (const client of clients.splice(0)) await client.end()
  for (const database of databases.splice(0)) await database.drop()
})

/** A database that was not migrated. */
export async function databaseWith(...statements: string[]): Promise<TestDatabase> {
  const database = await createTestDatabase(null)
  databases.push(database)
  for (const statement of statements) await database.query(statement)
  return database
}

export async function connect(database: TestDatabase): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.url })
  clients.push(client)
  await client.connect()
  return client
}

/** A session that blocks the end of CREATE INDEX CONCURRENTLY, without locking or using the table. */
export async function openSnapshot(database: TestDatabase): Promise<{ close(): Promise<void> }> {
  const client = await connect(database)
  await client.query('begin isolation level repeatable read')
  await client.query('select 1')
  return { close: () => client.end() }
}

export const migrated = (database: TestDatabase): Promise<string[]> =>
  migrate(configOf(database), silentLogger)

/** The error; null if there was none. */
export const failureOf = (database: TestDatabase): Promise<unknown> =>
  migrated(database).then(
    () => null,
    (error: unknown) => error,
  )
