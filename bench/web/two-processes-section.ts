// Whether a second web process helps, or at least does no harm: both write to one table.
import { createMessageDatabase, postmasterPid } from '../database.ts'
import { idsFrom, type LoadResult, openLoad } from '../load.ts'
import type { BenchCase, BenchContext, Section } from '../section.ts'
import { callbackCase, jobsInTable, PRODUCT_JOBS } from './callback-case.ts'
import { startWebProcess } from './endpoints.ts'
import { ratio } from './ratio.ts'
import { type Own, openCases } from './shared-resources.ts'

export const twoProcesses: Section = {
  name: 'two processes',
  rounds: (isQuick) => (isQuick ? 1 : 5),
  open: (context) => openCases((own) => openBoth(context, own)),
  // On a machine with two processors, load generator, database and one process fill it already.
  judge: (medians) => [
    {
      what: 'callbacks/s, two processes : one (1.0, less noise)',
      value: ratio(medians, 'callbacks/s', 'two', 'one'),
      least: 0.95,
    },
  ],
}

async function openBoth({ server, isQuick }: BenchContext, own: Own): Promise<Omit<BenchCase, 'close'>[]> {
  const rows = isQuick ? 20_000 : 100_000
  const load = await own(openLoad(idsFrom(1, rows)))
  const database = await own(createMessageDatabase(server, 'two_processes', rows, true))
  const store = { database, jobs: jobsInTable(database, PRODUCT_JOBS) }
  const postgres = await postmasterPid(server)
  const start = () => own(startWebProcess(database.url))
  const [one, first, second] = [await start(), await start(), await start()]
  const common = { ids: load.ids, store, seconds: isQuick ? 1.5 : 4 }
  const sendTo =
    (...urls: string[]) =>
    (amount: number): Promise<LoadResult> =>
      load.send({ urls, amount })
  return [
    callbackCase({ ...common, name: 'one', send: sendTo(one.url), pids: [one.pid, postgres] }),
    callbackCase({
      ...common,
      name: 'two',
      send: sendTo(first.url, second.url),
      pids: [first.pid, second.pid, postgres],
    }),
  ]
}
