// What memory a worker needs: the most that is seen while it makes retries at the rate that 2,000 callbacks a second
// bring, and what a backlog that is worked off as fast as can be leaves behind. (V8 gives back late what it does not need:
// see docs/performance.md.)
import { setTimeout as sleep } from 'node:timers/promises'
import { residentMb } from '../processes.ts'
import type { BenchCase, Figures, Section } from '../section.ts'
import { SMALL_HEAP } from '../web/endpoints.ts'
import { sharing } from './figures.ts'
import { type InstantTwilio, startInstantTwilio } from './start-instant-twilio.ts'
import { openWorkerCase, type WorkerCase } from './worker-case.ts'

const MIN_DELAY_MS = 2_000
const SAMPLE_MS = 50
const MAX_MB = 200
const SMALL = 'small heap'

export const workerMemory: Section = {
  name: 'worker memory',
  rounds: () => 1,
  async open(context) {
    await using stack = new AsyncDisposableStack()
    const twilio = stack.use(await startInstantTwilio())
    const { isQuick } = context
    const backlog = isQuick ? 1_000 : 5_000
    const [perSecond, seconds] = isQuick ? [100, 2] : [200, 20]
    const open = async (name: string, env: Readonly<Record<string, string>>): Promise<Open> => {
      const database = `worker_memory_${Object.keys(env).length}`
      const worker = await openWorkerCase(stack, context, { name: database, workers: 1, twilio, env })
      const round = async (): Promise<Figures> => {
        const firstMs = Date.now() + MIN_DELAY_MS
        const steady = Array.from(
          { length: perSecond * seconds },
          (_, i) => new Date(firstMs + Math.floor((i * 1000) / perSecond)),
        )
        const atOnce = Array<Date>(backlog).fill(new Date())
        return {
          [`${perSecond}/s rss MB`]: await mostMemory(worker, () => runRetries(worker, twilio, steady)),
          [`${backlog} at once rss MB`]: await mostMemory(worker, () => runRetries(worker, twilio, atOnce)),
        }
      }
      return { name, round }
    }
    const small = await open(SMALL, SMALL_HEAP)
    return sharing(stack, isQuick ? [small] : [small, await open('default heap', {})])
  },
  judge: (medians) =>
    Object.entries(medians.get(SMALL) ?? {}).map(([what, value]) => ({
      what: `memory of a worker, ${what}`,
      value,
      most: MAX_MB,
    })),
}

type Open = Omit<BenchCase, 'close'>

async function runRetries(
  { table }: WorkerCase,
  twilio: InstantTwilio,
  dueAt: readonly Date[],
): Promise<void> {
  await table.add(dueAt)
  await twilio.untilArrived(dueAt.length)
  await table.untilRecorded()
  await twilio.take()
  await table.settle()
}

async function mostMemory({ pids }: WorkerCase, work: () => Promise<void>): Promise<number> {
  const samples: number[] = []
  const [pid = 0] = pids
  let isOver = false
  const working = work().finally(() => {
    isOver = true
  })
  while (!isOver) {
    samples.push(residentMb(pid))
    await sleep(SAMPLE_MS)
  }
  await working
  return Math.max(...samples)
}
