// The PostgreSQL server of a test run, and its data for tests that need a server of their own: without initdb and
// migrations, one starts with a tenth of the processor time.
import pg from 'pg'
import {
  type DataFolder,
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../src/demo/embedded-postgres.ts'
import { migrate } from '../../src/processes/migrate.ts'
import { silentLogger } from './silent-logger.ts'

export const TEMPLATE_DATABASE = 'template_migrated'

/** Starts a server with one migrated database, which test files clone. Puts its URL and data folder into the environment. */
export async function startTestServer(): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres()
  await server.createDatabase(TEMPLATE_DATABASE)
  await migrate({ url: server.url(TEMPLATE_DATABASE), ssl: null, poolMax: 2 }, silentLogger)
  await makeSignInCheap(server.url('postgres'))
  process.env['TEST_SERVER_URL'] = server.url('postgres')
  process.env['TEST_DATA_FOLDER'] = JSON.stringify(await server.copyData())
  return server
}

/** Deriving the key of the password is a third of what a new connection costs the tests. */
async function makeSignInCheap(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query('set scram_iterations = 1')
  await client.query(`alter role postgres password ${client.escapeLiteral(new URL(url).password)}`)
  await client.end()
}

/** The data of the new test server, with the migrated database. Copy it; do not write to it. */
export function dataFolder(): DataFolder {
  const text = process.env['TEST_DATA_FOLDER']
  if (text === undefined) throw new Error('TEST_DATA_FOLDER is not set: startTestServer has not run')
  return JSON.parse(text) as DataFolder
}
