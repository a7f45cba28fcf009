// One or more workers on a database of their own, ready and idle: what the worker's sections measure.
import type { BenchContext } from '../section.ts'
import { type CliProcess, startCli } from './children.ts'
import { openRetryTable, type RetryTable } from './retry-table.ts'
import type { InstantTwilio } from './start-instant-twilio.ts'

export interface WorkerCase {
  readonly table: RetryTable
  readonly pids: readonly number[]
}

export interface WorkerCaseOptions {
  readonly name: string
  readonly workers: number
  readonly twilio: InstantTwilio
  /** A database to start from, to which nobody is connected. */
  readonly template?: string
  readonly env?: Readonly<Record<string, string>>
}

/** How many retries it takes until the code of a worker is compiled and its connections are open. */
const WARM_UP = 500
const QUICK_WARM_UP = 200

export async function openWorkerCase(
  stack: AsyncDisposableStack,
  context: BenchContext,
  { name, workers, twilio, template, env = {} }: WorkerCaseOptions,
): Promise<WorkerCase> {
  const table = stack.use(await openRetryTable(context, name, template))
  const processes: CliProcess[] = []
  const publicBaseUrl = `http://127.0.0.1:9/${name}`
  for (let i = 0; i < workers; i += 1) {
    const startedAt = new Date()
    const worker = startCli('worker', { databaseUrl: table.url, publicBaseUrl, twilioUrl: twilio.url, env })
    stack.defer(() => worker.stop())
    processes.push(worker)
    await table.untilFetchedSince(startedAt)
  }
  const warmUp = workers * (context.isQuick ? QUICK_WARM_UP : WARM_UP)
  await table.add(Array<Date>(warmUp).fill(new Date()))
  await twilio.untilArrived(warmUp)
  await table.untilRecorded()
  await twilio.take()
  return { table, pids: processes.map(({ pid }) => pid) }
}
