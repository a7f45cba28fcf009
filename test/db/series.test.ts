// Transactions one after another on one connection: each is on its own, whatever becomes of the one before, with which
// its beginning is sent.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import type { Database, SeriesTask, Transaction } from '../../src/db/pool.ts'
import { DatabaseError } from '../../src/errors.ts'
import { insert, openThings, type Things } from './things.ts'

let things: Things
let database: Database

beforeEach(async () => {
  things = await openThings('unique deferrable initially deferred')
  database = things.database
})

afterEach(() => things.close())

type Work = (tx: Transaction) => Promise<unknown>

/** Runs these in a series, the next one as soon as it is asked for, and returns what became of each. */
async function runAll(works: readonly Work[]): Promise<PromiseSettledResult<unknown>[]> {
  const results: Promise<unknown>[] = []
  const waiting = [...works]
  const next = (): SeriesTask | null => {
    const work = waiting.shift()
    return work === undefined ? null : (transaction) => void results.push(transaction(work))
  }
  while (waiting.length > 0) await database.series(next)
  return Promise.allSettled(results)
}

/** Inserts two things, the one before the commit and the other with it, and asks which transaction it is. */
const insertTwo =
  (first: number, second: number): Work =>
  async (tx) => {
    await insert(tx, first)
    await insert(tx.atCommit, second)
    const { rows } = await tx.executeSql<{ backend: number; transaction: string }>(
      'select pg_backend_pid() as "backend", txid_current()::text as "transaction"',
    )
    return rows[0]
  }

test('the next one is asked for, and begins, before the commit of the one before is answered', async () => {
  const order: string[] = []
  let done: Promise<unknown> | undefined
  const works = [1, 2, 3].map((number) => async (tx: Transaction) => {
    order.push(`${number} begins`)
    await insert(tx, number)
  })
  const next = (): SeriesTask | null => {
    const work = works.shift()
    if (work === undefined) return null
    const number = 3 - works.length
    return (transaction) => {
      done = transaction(work).then(() => order.push(`${number} is committed`))
    }
  }
  await database.series(next)
  await done
  expect(order.slice(0, 2)).toEqual(['1 begins', '2 begins'])
  expect(order.indexOf('3 begins')).toBeLessThan(order.indexOf('2 is committed'))
  expect(await things.list()).toEqual([1, 2, 3])
})

test('each is a transaction of its own, all on one connection', async () => {
  const results = await runAll([insertTwo(1, 2), insertTwo(3, 4), insertTwo(5, 6)])
  const seen = results.map((result) => (result as PromiseFulfilledResult<Record<string, unknown>>).value)
  expect(new Set(seen.map(({ backend }) => backend)).size).toBe(1)
  expect(new Set(seen.map(({ transaction }) => transaction)).size).toBe(3)
  expect(await things.list()).toEqual([1, 2, 3, 4, 5, 6])
})

test('the same work can be done again and again', async () => {
  let number = 0
  const again: Work = (tx) => insertTwo(++number, ++number)(tx)
  await runAll([again, again, again, again])
  const written = await things.direct.query<{ ids: number[] }>(
    'select array_agg(id order by id) as "ids" from thing group by xmin::text order by 1',
  )
  expect(written.map(({ ids }) => ids)).toEqual([
    [1, 2],
    [3, 4],
    [5, 6],
    [7, 8],
  ])
})

test('now and then a commit is sent alone, so that a pooler can give the connection to somebody else', async () => {
  const committed = new Set<number>()
  const pauses: number[] = []
  let number = 0
  const next = (): SeriesTask | null => {
    const mine = ++number
    if (mine > 120) return null
    return (transaction) => {
      void transaction((tx) => tx.executeSql('select 1')).then(() => committed.add(mine))
      // Before anything else can be read: either its answer is there already, or it has only just been sent.
      setImmediate(() => {
        if (committed.has(mine - 1)) pauses.push(mine - 1)
      })
    }
  }
  await database.series(next)
  expect(pauses).toEqual([50, 100])
})

describe('one that fails takes nothing with it, and leaves nothing', () => {
  test.each<[how: string, work: Work, failure: object]>([
    [
      'before its commit',
      async (tx) => {
        await insert(tx, 50)
        await insert(tx, 100)
      },
      { written: 'no', isRefusal: true },
    ],
    ['with its commit', insertTwo(50, 100), { written: 'no', isRefusal: true }],
    ['by its commit', insertTwo(50, 50), { written: 'no', isRefusal: true }],
    [
      'for a reason of its own',
      async (tx) => {
        await insert(tx, 50)
        throw new Error('changed its mind')
      },
      { message: 'changed its mind' },
    ],
  ])('%s', async (_how, work, failure) => {
    const [before, failed, after, last] = await runAll([
      insertTwo(1, 2),
      work,
      insertTwo(3, 4),
      insertTwo(5, 6),
    ])
    expect(failed).toMatchObject({ status: 'rejected', reason: failure })
    for (const other of [before, after, last]) expect(other).toMatchObject({ status: 'fulfilled' })
    expect(await things.list()).toEqual([1, 2, 3, 4, 5, 6])
    // What came after was not written statement by statement, in pieces of a transaction that was over.
    const written = await things.direct.query<{ transactions: number }>(
      'select count(distinct xmin::text)::integer as "transactions" from thing',
    )
    expect(written).toEqual([{ transactions: 3 }])
  })
})

test('a connection that is lost with a commit fails what has begun behind it, which is not written, for certain', async () => {
  const lost = things.proxy.loseAt('commit', 'unanswered')
  const results = await runAll([insertTwo(1, 2), insertTwo(3, 4), insertTwo(5, 6)])
  await lost
  expect(results).toMatchObject([
    { reason: { written: 'unknown', isRefusal: false } },
    { reason: { written: 'no', isRefusal: false } },
    { status: 'fulfilled' },
  ])
  expect(await things.list()).toEqual([1, 2, 5, 6])
})

test('whoever waits for the only connection gets it, although there is always a next one', async () => {
  let isDone = false
  let made = 0
  const next = (): SeriesTask => (transaction) => {
    made += 1
    void transaction((tx) => insert(tx, made % 100).then(() => tx.executeSql('delete from thing')))
  }
  const busy = (async () => {
    while (!isDone) await database.series(next)
  })()
  for (let times = 0; times < 3; times += 1) await database.executeSql('select 1')
  isDone = true
  // Otherwise it would not end.
  await Promise.all([database.executeSql('select 1'), busy])
  expect(made).toBeGreaterThan(1)
})

test('with the database away, one task after another is told', async () => {
  await things.proxy.set('away')
  const results = await runAll([insertTwo(1, 2), insertTwo(3, 4)])
  expect(results).toMatchObject([
    { reason: { written: 'no', isRefusal: false } },
    { reason: { written: 'no', isRefusal: false } },
  ])
  for (const result of results) expect(result).toMatchObject({ reason: expect.any(DatabaseError) })
  await things.proxy.set('there')
  expect(await runAll([insertTwo(1, 2)])).toMatchObject([{ status: 'fulfilled' }])
})

test('prepared statements that get lost are done without, on another connection', async () => {
  let isLost = false
  const results = await runAll([
    insertTwo(1, 2),
    async (tx) => {
      if (!isLost) {
        isLost = true
        await tx.executeSql('deallocate all')
      }
      await insert(tx, 3)
    },
    insertTwo(5, 6),
  ])
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled'])
  expect(await things.list()).toEqual([1, 2, 3, 5, 6])
})
