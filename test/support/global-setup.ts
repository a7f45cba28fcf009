// One PostgreSQL server for the whole test run, with one migrated template database that each test file clones.
import pg from 'pg'
import { migrate } from '../../src/processes/migrate.ts'
import { startEmbeddedPostgres } from '../../src/demo/embedded-postgres.ts'
import { keepTemporaryFilesInMemory } from './memory-folder.ts'
import { silentLogger } from './silent-logger.ts'

export default async function globalSetup(): Promise<void> {
  await keepTemporaryFilesInMemory()
  const server = await startEmbeddedPostgres()
  await server.createDatabase('template_migrated')
  await migrate({ url: server.url('template_migrated'), ssl: null, poolMax: 2 }, silentLogger)
  await makeSignInCheap(server.url('postgres'))
  process.env['TEST_SERVER_URL'] = server.url('postgres')
  Object.assign(globalThis, { stopTestServer: () => server.stop() })
}

/** Deriving the key of the password is a third of what a new connection costs the tests. */
async function makeSignInCheap(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query('set scram_iterations = 1')
  await client.query(`alter role postgres password ${client.escapeLiteral(new URL(url).password)}`)
  await client.end()
}
