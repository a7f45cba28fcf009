// What a web process holds on to: at a steady load, and over a million callbacks as fast as it can. With the heap that
// is advised for a small machine, and with the one that Node takes by itself.
import { createMessageDatabase } from '../database.ts'
import { idsFrom, openLoad } from '../load.ts'
import { residentMb } from '../processes.ts'
import type { Bar, BenchCase, BenchContext, Figures, Section } from '../section.ts'
import { jobsInTable, PRODUCT_JOBS } from './callback-case.ts'
import { SMALL_HEAP, startWebProcess } from './endpoints.ts'
import { medianOf } from '../worker/figures.ts'
import { type Own, openCases } from './shared-resources.ts'

const PORTION = 100_000
/** Says nothing about growth, only that the section runs. */
const QUICK_PORTION = 10_000
const PORTIONS = 10
const STEADY_PER_SECOND = 2_000

export const memory: Section = {
  name: 'memory',
  rounds: () => 1,
  open: (context) => openCases((own) => openBoth(context, own)),
  judge(medians): Bar[] {
    const figure = (name: string): number => medianOf(medians, SMALL, name)
    const growthMb = figure(after(PORTIONS * PORTION)) - figure(after(2 * PORTION))
    return [
      // Otherwise the next bar is about another load.
      { what: 'callbacks/s when 2,000 are sent', value: figure(STEADY_RATE), least: 1_950 },
      { what: 'memory at 2,000 callbacks/s, MB', value: figure(STEADY), most: 200 },
      { what: 'growth from 200,000 to 1,000,000 callbacks, MB', value: growthMb, most: 30 },
    ]
  },
}

const SMALL = 'small heap'
const STEADY = 'at 2,000/s rss MB'
const STEADY_RATE = 'steady callbacks/s'

function after(callbacks: number): string {
  return `after ${callbacks.toLocaleString('en')} rss MB`
}

async function openBoth(context: BenchContext, own: Own): Promise<Omit<BenchCase, 'close'>[]> {
  const small = await openOne(context, own, SMALL, SMALL_HEAP)
  return context.isQuick ? [small] : [small, await openOne(context, own, 'default heap', {})]
}

async function openOne(
  { server, isQuick, say }: BenchContext,
  own: Own,
  name: string,
  env: Readonly<Record<string, string>>,
): Promise<Omit<BenchCase, 'close'>> {
  const rows = isQuick ? QUICK_PORTION : PORTION
  const load = await own(openLoad(idsFrom(1, rows)))
  const database = await own(createMessageDatabase(server, `memory_${Object.keys(env).length}`, rows, true))
  const jobs = jobsInTable(database, PRODUCT_JOBS)
  const web = await own(startWebProcess(database.url, env))
  const urls = [web.url]
  const portions = isQuick || name !== SMALL ? 1 : PORTIONS
  return {
    name,
    async round() {
      const figures: Record<string, number> = { 'at start rss MB': residentMb(web.pid) }
      const amount = STEADY_PER_SECOND * (isQuick ? 2 : 10)
      const { seconds } = await load.send({ urls, amount, perSecond: STEADY_PER_SECOND })
      figures[STEADY_RATE] = amount / seconds
      figures[STEADY] = residentMb(web.pid)
      for (let sent = rows; sent <= portions * rows; sent += rows) {
        // A callback that comes again changes nothing, and would not be the same work.
        await jobs.clear()
        await database.reset()
        await load.send({ urls, amount: rows })
        figures[after(sent)] = residentMb(web.pid)
        say(`${after(sent)}: ${Math.round(figures[after(sent)] ?? 0)}`)
      }
      return figures satisfies Figures
    },
  }
}
