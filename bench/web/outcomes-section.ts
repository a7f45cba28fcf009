// How many status callbacks a second one web process records while it also records outcomes, beside the same process
// without them. Each message reports `sent` and then its end, as Twilio does. In the cases without `sent`, every callback
// adds an outcome or a retry: the most that outcomes can cost.
import { createMessageDatabase, fillUpTo, postmasterPid } from '../database.ts'
import { openFullLoad } from '../full-load.ts'
import { idsFrom } from '../load.ts'
import type { Bar, BenchCase, BenchContext, Section } from '../section.ts'
import { type Callback, lastCallbackOf } from '../signed-callback.ts'
import { callbackCase, jobsInTable, PRODUCT_JOBS, type Stages } from './callback-case.ts'
import { startWebProcess } from './endpoints.ts'
import { ratio } from './ratio.ts'
import { type Own, openCases } from './shared-resources.ts'

const WITH = 'with outcomes'
const WITHOUT = 'without'
const FINAL_ONLY = ', no `sent`'

export const outcomes: Section = {
  name: 'outcomes',
  rounds: (isQuick) => (isQuick ? 2 : 6),
  open: (context) => openCases((own) => openAll(context, own)),
  judge: (medians): Bar[] => [
    {
      what: 'callbacks/s, with outcomes : without',
      value: ratio(medians, 'callbacks/s', WITH, WITHOUT),
      least: 0.8,
    },
  ],
}

/** So many messages report `sent` before the first of them reports its end: Twilio's second report takes a second. */
const MESSAGES_PER_BLOCK = 1_000

interface Reports {
  readonly suffix: string
  readonly rowsAt: 'queued' | 'sent'
  readonly stages: Stages
  readonly callbacksOf: (ids: readonly number[]) => Callback[]
}

const REPORTS: readonly Reports[] = [
  {
    suffix: '',
    rowsAt: 'queued',
    stages: { callbacksPerMessage: 2, messagesPerBlock: MESSAGES_PER_BLOCK },
    callbacksOf: inBlocks,
  },
  {
    suffix: FINAL_ONLY,
    rowsAt: 'sent',
    stages: { callbacksPerMessage: 1, messagesPerBlock: 1 },
    callbacksOf: (ids) => ids.map(lastCallbackOf),
  },
]

function inBlocks(ids: readonly number[]): Callback[] {
  return Array.from({ length: Math.ceil(ids.length / MESSAGES_PER_BLOCK) }, (_, i) =>
    ids.slice(i * MESSAGES_PER_BLOCK, (i + 1) * MESSAGES_PER_BLOCK),
  ).flatMap((block) => [
    ...block.map((id): Callback => ({ id, status: 'sent' })),
    ...block.map(lastCallbackOf),
  ])
}

/** An outcome for each that was delivered, a retry for each that failed. */
const everyMessage = (ids: readonly number[]): number => ids.length

async function openAll(context: BenchContext, own: Own): Promise<Omit<BenchCase, 'close'>[]> {
  const cases: Omit<BenchCase, 'close'>[] = []
  for (const reports of REPORTS) cases.push(...(await openPair(context, own, reports)))
  return cases
}

/** The two processes that take the same callbacks. */
async function openPair(
  { server, isQuick }: BenchContext,
  own: Own,
  { suffix, rowsAt, stages, callbacksOf }: Reports,
): Promise<Omit<BenchCase, 'close'>[]> {
  const rows = isQuick ? 25_000 : 100_000
  const ids = idsFrom(1, rows)
  const load = await own(openFullLoad(ids, callbacksOf(ids)))
  const postgres = await postmasterPid(server)
  const cases: Omit<BenchCase, 'close'>[] = []
  for (const [name, env] of [
    [WITHOUT, {}],
    [WITH, { OUTCOME_EVENTS: 'true' }],
  ] as const) {
    const databaseName = `outcomes_${rowsAt}_${cases.length}`
    const database = await own(createMessageDatabase(server, databaseName, rows, true, fillUpTo(rowsAt)))
    const { url, pid } = await own(startWebProcess(database.url, env))
    const jobs =
      name === WITH
        ? { ...jobsInTable(database, PRODUCT_JOBS), expectedFor: everyMessage }
        : jobsInTable(database, PRODUCT_JOBS, `name = 'attempt'`)
    cases.push(
      callbackCase({
        name: name + suffix,
        ids,
        send: (amount) => load.send(url, amount),
        store: { database, jobs },
        pids: [pid, postgres],
        seconds: isQuick ? 1.5 : 4,
        stages,
      }),
    )
  }
  return cases
}
