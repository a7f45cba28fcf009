// How fast a worker works off what is due at once, as after an outage: against the same requests without a database,
// and with a second worker beside it.
import { postmasterPid } from '../database.ts'
import { familyProcessorMs, processorMs } from '../processes.ts'
import type { BenchCase, BenchContext, Figures, Section } from '../section.ts'
import { forkProgram } from './children.ts'
import { medianOf, sharing } from './figures.ts'
import type { LimitReply, LimitRequest } from './limit.ts'
import { type InstantTwilio, startInstantTwilio } from './start-instant-twilio.ts'
import { openWorkerCase, type WorkerCaseOptions } from './worker-case.ts'

type OpenCase = Omit<BenchCase, 'close'>

const ROUND_MS = 120_000

export const retries: Section = {
  name: 'retries',
  rounds: (isQuick) => (isQuick ? 1 : 7),
  async open(context) {
    const count = context.isQuick ? 1_500 : 5_000
    await using stack = new AsyncDisposableStack()
    const twilio = stack.use(await startInstantTwilio())
    const limit = await openLimit(stack, twilio, count)
    const one = await openWorkers(stack, context, { name: 'one_worker', workers: 1, twilio }, count)
    const two = await openWorkers(stack, context, { name: 'two_workers', workers: 2, twilio }, count)
    return sharing(stack, [
      { name: 'limit', round: limit },
      { name: 'sms-retry', round: one },
      { name: 'two workers', round: two },
    ])
  },
  judge(medians) {
    const rate = (name: string): number => medianOf(medians, name, 'retries/s')
    return [
      { what: 'retries/s, sms-retry to limit', value: rate('sms-retry') / rate('limit'), least: 0.5 },
      { what: 'retries/s, two workers to one', value: rate('two workers') / rate('sms-retry'), least: 0.95 },
    ]
  },
}

async function openLimit(
  stack: AsyncDisposableStack,
  twilio: InstantTwilio,
  count: number,
): Promise<OpenCase['round']> {
  const args = [twilio.url, 'http://127.0.0.1:9/limit']
  const program = forkProgram<LimitRequest, LimitReply>(new URL('./limit.ts', import.meta.url), args)
  stack.defer(() => program.stop())
  const run = async (requests: number): Promise<LimitReply> => {
    const reply = program.next(ROUND_MS)
    program.tell({ requests })
    return reply
  }
  await run(500)
  await twilio.take()
  return async () => {
    const startedCpuMs = processorMs(program.pid)
    const { elapsedMs } = await run(count)
    const nodeMs = processorMs(program.pid) - startedCpuMs
    await twilio.take()
    return { 'retries/s': (count / elapsedMs) * 1000, 'cpu µs': (nodeMs / count) * 1000 }
  }
}

async function openWorkers(
  stack: AsyncDisposableStack,
  context: BenchContext,
  options: WorkerCaseOptions,
  count: number,
): Promise<OpenCase['round']> {
  const { twilio } = options
  const { table, pids } = await openWorkerCase(stack, context, options)
  const postmaster = await postmasterPid(context.server)
  const workersMs = (): number => pids.reduce((sum, pid) => sum + processorMs(pid), 0)
  return async (): Promise<Figures> => {
    await table.settle()
    const now = new Date()
    let started = { ms: 0, nodeMs: 0, serverMs: 0 }
    await table.add(Array<Date>(count).fill(now), () => {
      started = { nodeMs: workersMs(), serverMs: familyProcessorMs(postmaster), ms: performance.now() }
    })
    await twilio.untilArrived(count)
    await table.untilRecorded()
    const elapsedMs = performance.now() - started.ms
    const nodeMs = workersMs() - started.nodeMs
    const postgresMs = familyProcessorMs(postmaster) - started.serverMs
    await twilio.take()
    await table.assertNoDeadlock()
    const perRetry = (ms: number): number => (ms / count) * 1000
    return {
      'retries/s': (count / elapsedMs) * 1000,
      'cpu µs': perRetry(nodeMs + postgresMs),
      'node µs': perRetry(nodeMs),
      'postgres µs': perRetry(postgresMs),
    }
  }
}
