// How many status callbacks a second one web process records while it also records outcomes, beside the same process
// without them. All callbacks are final or fail, so each adds an outcome or a retry: the most that outcomes can cost.
import { createMessageDatabase, postmasterPid } from '../database.ts'
import { openFullLoad } from '../full-load.ts'
import { idsFrom } from '../load.ts'
import type { Bar, BenchCase, BenchContext, Section } from '../section.ts'
import { callbackCase, jobsInTable, PRODUCT_JOBS } from './callback-case.ts'
import { startWebProcess } from './endpoints.ts'
import { ratio } from './ratio.ts'
import { type Own, openCases } from './shared-resources.ts'

const WITH = 'with outcomes'
const WITHOUT = 'without'

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

async function openAll({ server, isQuick }: BenchContext, own: Own): Promise<Omit<BenchCase, 'close'>[]> {
  const rows = isQuick ? 25_000 : 100_000
  const ids = idsFrom(1, rows)
  const load = await own(openFullLoad(ids))
  const postgres = await postmasterPid(server)
  const cases: Omit<BenchCase, 'close'>[] = []
  for (const [name, env] of [
    [WITHOUT, {}],
    [WITH, { OUTCOME_EVENTS: 'true' }],
  ] as const) {
    const database = await own(createMessageDatabase(server, `outcomes_${cases.length}`, rows, true))
    const { url, pid } = await own(startWebProcess(database.url, env))
    const jobs = jobsInTable(database, PRODUCT_JOBS, `name = 'attempt'`)
    cases.push(
      callbackCase({
        name,
        ids,
        send: (amount) => load.send(url, amount),
        store: { database, jobs },
        pids: [pid, postgres],
        seconds: isQuick ? 1.5 : 4,
      }),
    )
  }
  return cases
}
