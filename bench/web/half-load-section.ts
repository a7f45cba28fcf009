// How long a callback takes while the machine has air: at half of what the product has reached, beside an endpoint that
// keeps nothing, and beside the least that keeps anything.
import { createMessageDatabase, type MessageDatabase } from '../database.ts'
import { idsFrom, type LoadResult, openLoad } from '../load.ts'
import type { BenchCase, BenchContext, Section } from '../section.ts'
import { callbackCase, jobsInTable, PRODUCT_JOBS } from './callback-case.ts'
import { startPeer, startWebProcess } from './endpoints.ts'
import { ratio } from './ratio.ts'
import { type Own, openCases } from './shared-resources.ts'

/**
 * Each round opens 64 connections at once, to an endpoint that has just rested, on a table that was emptied and filled
 * again, whose statements have to be planned anew. That is a round's beginning, and nothing that happens in production.
 */
const STARTING_SECONDS = 1

/**
 * V8 compiles what is called once a list when it has been called often enough: at half load that goes on for most of a
 * minute, in threads that keep PostgreSQL waiting for 2 to 3 ms at a time. A web process lives for days. Nine rounds are 54
 * seconds.
 */
const COMPILING_ROUNDS = 9

export const halfLoad: Section = {
  name: 'latency at half load',
  rounds: (isQuick) => (isQuick ? 1 : 5),
  warmUps: (isQuick) => (isQuick ? 1 : COMPILING_ROUNDS),
  open: (context) => openCases((own) => openAll(context, own)),
  judge: (medians) => [
    { what: 'p99, sms-retry : limit', value: ratio(medians, 'p99 ms', 'sms-retry', 'limit'), most: 3 },
    { what: 'p99, barest : limit', value: ratio(medians, 'p99 ms', 'barest', 'limit') },
    { what: 'p99, sms-retry : barest', value: ratio(medians, 'p99 ms', 'sms-retry', 'barest') },
  ],
}

async function openAll(
  { server, isQuick, say }: BenchContext,
  own: Own,
): Promise<Omit<BenchCase, 'close'>[]> {
  const rows = isQuick ? 40_000 : 100_000
  const seconds = isQuick ? 1.5 : 5
  const load = await own(openLoad(idsFrom(1, rows)))
  /** Each its own, as in the other sections. */
  const openDatabase = (name: string): Promise<MessageDatabase> =>
    own(createMessageDatabase(server, `half_load_${name}`, rows, true))
  const [ours, barests] = [await openDatabase('ours'), await openDatabase('barest')]
  const limit = await own(startPeer('limit', {}))
  const barest = await own(startPeer('barest', { DATABASE_URL: barests.url }))
  const web = await own(startWebProcess(ours.url))

  const store = { database: ours, jobs: jobsInTable(ours, PRODUCT_JOBS) }
  // By the generator that is to send half of it, since that takes its share of the machine as well.
  const send = (amount: number): Promise<LoadResult> => load.send({ urls: [web.url], amount })
  const full = callbackCase({ name: 'sms-retry', ids: load.ids, send, store, pids: [], seconds })
  await full.round()
  const perSecond = Math.round(((await full.round())['callbacks/s'] ?? 0) / 2)
  const amount = Math.min(Math.ceil(perSecond * (seconds + STARTING_SECONDS)), rows)
  say(`${perSecond} callbacks a second`)
  const evenly = (name: string, url: string, database: MessageDatabase | null): Omit<BenchCase, 'close'> => ({
    name,
    async round() {
      if (database !== null) {
        await jobsInTable(database, PRODUCT_JOBS).clear()
        await database.reset()
      }
      const uncounted = perSecond * STARTING_SECONDS
      const sent = await load.send({ urls: [url], amount, perSecond, uncounted })
      if (database !== null) await checkKept(name, database, amount)
      return { 'callbacks/s': amount / sent.seconds, 'p50 ms': sent.p50Ms, 'p99 ms': sent.p99Ms }
    },
  })
  return [
    evenly('limit', limit.url, null),
    evenly('barest', barest.url, barests),
    evenly('sms-retry', web.url, ours),
  ]
}

/** Each callback takes another message on from `sent`. */
async function checkKept(name: string, database: MessageDatabase, amount: number): Promise<void> {
  const [row] = await database.query<{ kept: number }>(
    `select (count(*) filter (where final_status <> 'sent'))::integer as "kept" from sms_usage_logs`,
  )
  if (row?.kept !== amount) throw new Error(`${name} has kept ${row?.kept} callbacks instead of ${amount}`)
}
