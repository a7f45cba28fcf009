// What the tests of a lost database share: a PostgreSQL server of the test file's own, which can be restarted, and
// worlds whose sender and worker reach their database by way of a proxy.
import { expect } from '@jest/globals'
import { type EmbeddedPostgres, freePort, startEmbeddedPostgres } from '../../src/demo/embedded-postgres.ts'
import { openRuntime, type Runtime } from '../../src/processes/runtime.ts'
import { openSender, type Sender } from '../../src/processes/sender.ts'
import { type RunningWorker, runWorker } from '../../src/processes/worker.ts'
import { type DatabaseProxy, startDatabaseProxy } from '../http/database-proxy.ts'
import { dataFolder } from '../support/test-server.ts'
import { capturingLogger, type LogLine, type World } from '../support/world.ts'
import { closeLater } from '../support/world-with.ts'

/** A server that takes back no commit when it crashes. From now on, the databases of this test file are on it. */
export async function useOwnServer(): Promise<EmbeddedPostgres> {
  const settings = ['fsync=off', 'max_connections=100', 'listen_addresses=127.0.0.1']
  const server = await startEmbeddedPostgres(settings, dataFolder())
  process.env['TEST_SERVER_URL'] = server.url('postgres')
  return server
}

/** Sender and worker of a world whose own sender, endpoint and test reach the database directly. */
export interface Lossy {
  readonly proxy: DatabaseProxy
  /** What sender and worker logged. */
  readonly log: LogLine[]
  openRuntime(): Runtime
  openSender(): Promise<Sender>
  startWorker(): Promise<RunningWorker>
}

export async function lossy(world: World): Promise<Lossy> {
  const proxy = await startDatabaseProxy(world.database.url, await freePort())
  closeLater(() => proxy.close())
  const log: LogLine[] = []
  const open = (): Runtime => {
    const options = { logger: capturingLogger(log), retryPolicy: { jitter: 0 } }
    return openRuntime(options, { ...world.env, DATABASE_URL: proxy.url }, ['DATABASE_URL', 'sender'])
  }
  return {
    proxy,
    log,
    openRuntime: open,
    async openSender() {
      const sender = await openSender(open())
      closeLater(() => sender.close())
      return sender
    },
    async startWorker() {
      const worker = await runWorker(open())
      closeLater(() => worker.stop())
      return worker
    },
  }
}

/** Ends every connection of ours, as an administrator does. */
export function endConnections({ database }: World): Promise<unknown> {
  return database.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name = 'sms-retry'`,
  )
}

/** How often each text was submitted: one text, one message. */
export function submissions({ simulator }: World): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { body } of simulator.messages()) counts[body ?? ''] = (counts[body ?? ''] ?? 0) + 1
  return counts
}

export function linesWith(log: readonly LogLine[], text: string): LogLine[] {
  return log.filter(({ message }) => message.includes(text))
}

/** Every attempt was accepted at most once, and there are as many POSTs of each text as it needs. */
export function expectSubmissions(world: World, expected: Record<string, number>): void {
  expect(world.simulator.doubleSubmissions()).toEqual([])
  expect(submissions(world)).toEqual(expected)
}
