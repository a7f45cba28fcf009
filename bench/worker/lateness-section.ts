// How late a retry is made when little is to be done: by an idle worker, and with a hundred thousand retries that are
// due in hours, which a fetch must not have to read.
import type { BenchCase, BenchContext, Figures, Section } from '../section.ts'
import { medianOf, percentile, sharing } from './figures.ts'
import { openRetryTable } from './retry-table.ts'
import { startInstantTwilio } from './start-instant-twilio.ts'
import { openWorkerCase, type WorkerCaseOptions } from './worker-case.ts'

const DEFERRED = 100_000
const DEFERRED_AT_ONCE = 5_000
const HOUR_MS = 3_600_000

/** A retry is scheduled minutes ahead; here by this time at least, so that no worker learns of it too late. */
const MIN_DELAY_MS = 2_500

export const lateness: Section = {
  name: 'lateness',
  rounds: (isQuick) => (isQuick ? 1 : 3),
  async open(context) {
    await using stack = new AsyncDisposableStack()
    const twilio = stack.use(await startInstantTwilio())
    const template = 'lateness_template'
    await createDeferred(context, template)
    const open = (options: Omit<WorkerCaseOptions, 'twilio'>): Promise<BenchCase['round']> =>
      openLateness(stack, context, { ...options, twilio })
    const cases = [
      { name: 'few deferred', round: await open({ name: 'lateness_few', workers: 1 }) },
      { name: '100,000 deferred', round: await open({ name: 'lateness_many', workers: 1, template }) },
    ]
    if (context.isQuick) {
      context.say('Left out for now: two workers, 100,000 deferred')
    } else {
      const round = await open({ name: 'lateness_two', workers: 2, template })
      cases.push({ name: 'two workers, 100,000 deferred', round })
    }
    return sharing(stack, cases)
  },
  judge: (medians) => [
    { what: 'p99 ms, 100,000 deferred', value: medianOf(medians, '100,000 deferred', 'p99 ms'), most: 100 },
  ],
}

/** From one hour to five hours ahead. */
async function createDeferred(context: BenchContext, name: string): Promise<void> {
  context.say(`Writes ${DEFERRED} deferred retries`)
  await using table = await openRetryTable(context, name)
  const deferred = (): Date => new Date(Date.now() + HOUR_MS * (1 + 4 * Math.random()))
  let left = DEFERRED
  const add = async (): Promise<void> => {
    while (left > 0) {
      left -= DEFERRED_AT_ONCE
      await table.add(Array.from({ length: DEFERRED_AT_ONCE }, deferred))
    }
  }
  await Promise.all([add(), add()])
  await table.settle()
}

async function openLateness(
  stack: AsyncDisposableStack,
  context: BenchContext,
  options: WorkerCaseOptions,
): Promise<BenchCase['round']> {
  const { twilio } = options
  const { table } = await openWorkerCase(stack, context, options)
  const [count, spanMs] = context.isQuick ? [80, 5_000] : [200, 20_000]
  return async (): Promise<Figures> => {
    await table.settle()
    const startedTransactions = await table.transactions()
    const firstMs = Date.now() + MIN_DELAY_MS
    const dueAt = Array.from({ length: count }, () => new Date(firstMs + Math.floor(Math.random() * spanMs)))
    const retries = await table.add(dueAt)
    await twilio.untilArrived(count)
    await table.untilRecorded()
    const arrivals = await twilio.take()
    const late = retries.map(({ id, dueAt: due }) => (arrivals.get(id) ?? Number.NaN) - due.getTime())
    const transactions = (await table.transactions()) - startedTransactions
    return {
      'p50 ms': percentile(late, 0.5),
      'p99 ms': percentile(late, 0.99),
      'earliest ms': Math.min(...late),
      'transactions/retry': transactions / count,
    }
  }
}
