// A migrated database for one test file, cloned from the template in a few dozen milliseconds.
import { randomBytes } from 'node:crypto'
import pg from 'pg'

export interface TestDatabase {
  readonly url: string
  /** One statement on a connection of the test's own. */
  query<Row extends object = Record<string, unknown>>(text: string, values?: unknown[]): Promise<Row[]>
  /** Ends our connection and drops the database, whoever is connected still. */
  drop(): Promise<void>
}

/** @param template null for an empty database */
export async function createTestDatabase(
  template: string | null = 'template_migrated',
): Promise<TestDatabase> {
  const serverUrl = process.env['TEST_SERVER_URL']
  if (serverUrl === undefined) throw new Error('TEST_SERVER_URL is not set: the global set-up has not run')
  const name = `test_${randomBytes(6).toString('hex')}`
  // One connection for both statements: it costs as much as a drop.
  const server = new pg.Pool({
    connectionString: serverUrl,
    max: 1,
    idleTimeoutMillis: 0,
    allowExitOnIdle: true,
  })
  server.on('error', () => undefined)
  await server.query(`create database ${name} template ${template ?? 'template0'} strategy file_copy`)
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  // On a machine with a high load, the default of 5 seconds is too short.
  url.searchParams.set('connect_timeout', '20')
  const pool = new pg.Pool({ connectionString: url.toString(), max: 2 })
  // Tests that end all connections on purpose end these as well.
  pool.on('error', () => undefined)
  return {
    url: url.toString(),
    query: async (text, values) => (await pool.query(text, values)).rows,
    async drop() {
      await pool.end()
      await server.query(`drop database ${name} with (force)`)
      await server.end()
    },
  }
}

/** The URL with one more parameter. */
export function withParameter(url: string, name: string, value: string): string {
  const changed = new URL(url)
  changed.searchParams.set(name, value)
  return changed.href
}
