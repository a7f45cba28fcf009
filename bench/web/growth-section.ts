// Whether a callback, and what looks for messages, costs more on a table with a history. A round takes messages that no
// round has taken before, so that nothing has to be put back, and all tables have been through the same.
import { nextDueMs } from '../../src/db/next-due-retry.ts'
import { listMessages } from '../../src/db/messages.ts'
import { findOthers, findOverdue } from '../../src/db/overdue.ts'
import { openDatabase } from '../../src/postgres/pool.ts'
import { createMessageDatabase } from '../database.ts'
import { idsFrom, openLoad } from '../load.ts'
import type { BenchCase, BenchContext, Figures, Section } from '../section.ts'
import { startWebProcess } from './endpoints.ts'
import { ratio } from './ratio.ts'
import { type Own, openCases } from './shared-resources.ts'

const SMALL_ROWS = 100_000
const LARGE_ROWS = 5_000_000
/** Enough messages for nine rounds and one to warm up. */
const ROUND_CALLBACKS = SMALL_ROWS / 10

export const growth: Section = {
  name: 'growth',
  rounds: () => 5,
  open: (context) => openCases((own) => openTables(context, own)),
  judge: (medians) => [
    {
      what: 'callbacks/s, newest of 5,000,000 rows : 100,000 rows',
      value: ratio(medians, 'callbacks/s', NEWEST, SMALL),
      least: 0.8,
    },
    ...Object.entries(medians.get(LOOKS) ?? {}).map(([what, value]) => ({
      what: `${what}, of 5,000,000 rows`,
      value,
      most: 50,
    })),
  ],
}

const SMALL = '100,000 rows'
const NEWEST = 'newest of 5,000,000'
const RANDOM = 'random of 5,000,000'
const LOOKS = 'looks at 5,000,000'

async function openTables(
  { server, isQuick, say }: BenchContext,
  own: Own,
): Promise<Omit<BenchCase, 'close'>[]> {
  if (isQuick) {
    say('left out: filling the large table takes minutes')
    return []
  }
  const small = await own(createMessageDatabase(server, 'growth_small', SMALL_ROWS, false))
  say(`filling a table of ${LARGE_ROWS.toLocaleString('en')} rows`)
  const large = await own(createMessageDatabase(server, 'growth_large', LARGE_ROWS, false))
  const firstNewest = LARGE_ROWS - SMALL_ROWS + 1
  const tables = [
    { name: SMALL, database: small, ids: idsFrom(1, SMALL_ROWS) },
    { name: NEWEST, database: large, ids: idsFrom(firstNewest, SMALL_ROWS) },
    { name: RANDOM, database: large, ids: scatteredIds(SMALL_ROWS, firstNewest) },
  ]
  const looks = await own(openLooks(large.url))
  const rounds = await Promise.all(
    tables.map(async ({ name, database, ids }) => {
      const load = await own(openLoad(ids))
      const { url } = await own(startWebProcess(database.url))
      let from = 0
      return {
        name,
        async round() {
          if (from + ROUND_CALLBACKS > ids.length) throw new Error('no messages are left for this round')
          await database.settle()
          const result = await load.send({ urls: [url], from, amount: ROUND_CALLBACKS })
          from += ROUND_CALLBACKS
          return {
            'callbacks/s': ROUND_CALLBACKS / result.seconds,
            'p50 ms': result.p50Ms,
            'p99 ms': result.p99Ms,
          }
        },
      }
    }),
  )
  return [...rounds, { name: LOOKS, round: () => looks.round() }]
}

/** What the sweep and the worker look for, each as often as it takes to know. */
async function openLooks(url: string): Promise<{ round(): Promise<Figures>; close(): Promise<void> }> {
  const database = openDatabase({ url, ssl: null, poolMax: 1 }, () => undefined)
  const times = 25
  const msOf = async (look: () => Promise<unknown>): Promise<number> => {
    const startedMs = performance.now()
    for (let i = 0; i < times; i += 1) await look()
    return (performance.now() - startedMs) / times
  }
  const inquiry = { messageId: LARGE_ROWS, to: '+12069999999', since: new Date(), sids: ['SM0', 'SM1'] }
  return {
    round: async () => ({
      'overdue messages ms': await msOf(() => findOverdue(database, 50)),
      'next due retry ms': await msOf(() => nextDueMs(database)),
      'others of a listed message ms': await msOf(() => findOthers(database, inquiry)),
      'newest messages of a status ms': await msOf(() => listMessages(database, 'retrying', 50)),
    }),
    close: () => database.close(),
  }
}

/** A prime, so that its multiples meet every number once: the same messages in every run, in no order. */
const STRIDE = 2_750_159

function scatteredIds(count: number, below: number): number[] {
  return Array.from({ length: count }, (_, i) => ((i + 1) * STRIDE) % below)
}
