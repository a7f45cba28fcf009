// One PostgreSQL server for the whole test run, with one migrated template database that each test file clones.
import { keepTemporaryFilesInMemory } from './memory-folder.ts'
import { startTestServer } from './test-server.ts'

export default async function globalSetup(): Promise<void> {
  await keepTemporaryFilesInMemory()
  const server = await startTestServer()
  Object.assign(globalThis, { stopTestServer: () => server.stop() })
}
