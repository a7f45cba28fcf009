// A transaction is committed or rolled back, and its caller learns which, also for statements that are sent with the
// commit. Work that must not be done twice: confirmed-transaction.test.ts.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { type Database, type Db, openDatabase, type Transaction } from '../../src/postgres/pool.ts'
import { DatabaseError } from '../../src/shared/errors.ts'
import { INSERT, insert, openThings, type Things } from '../db/things.ts'
import { waitFor } from '../support/wait-for.ts'

let things: Things
let database: Database

beforeEach(async () => {
  things = await openThings('unique')
  database = things.database
})

afterEach(() => things.close())

/** @returns what the transaction failed with */
async function failureOf(work: (tx: Transaction) => Promise<unknown>): Promise<DatabaseError> {
  const failure = await database.transaction(work).then(
    () => 'committed',
    (error: unknown) => error,
  )
  expect(failure).toBeInstanceOf(DatabaseError)
  return failure as DatabaseError
}

/** The pool works, and its connection has nothing left of the transaction before. */
async function expectUsable(): Promise<void> {
  await database.transaction(async (tx) => {
    await insert(tx, 50)
    await insert(tx.atCommit, 51)
  })
  expect(await things.list()).toEqual(expect.arrayContaining([50, 51]))
}

describe('statements that are sent with the commit', () => {
  test('are committed in their order, after the other statements and together with them', async () => {
    const result = await database.transaction(async (tx) => {
      const [first, second] = [
        insert(tx.atCommit, 2),
        tx.atCommit.executeSql('update thing set id = id + 10'),
      ]
      expect([await first, await second]).toEqual([{ rows: [] }, { rows: [] }])
      await insert(tx, 1)
      await insert(tx.atCommit, 3)
      expect(await things.list()).toEqual([])
      return 'done'
    })
    expect(result).toBe('done')
    expect(await things.list()).toEqual([3, 11, 12])
    const transactions = await things.direct.query('select distinct xmin::text from thing where id <> 11')
    expect(transactions).toHaveLength(1)
  })

  test('are not sent if the work fails, and its error reaches the caller unchanged', async () => {
    const changedItsMind = new Error('changed its mind')
    const work = database.transaction(async (tx) => {
      await insert(tx.atCommit, 1)
      await insert(tx, 2)
      throw changedItsMind
    })
    await expect(work).rejects.toBe(changedItsMind)
    expect(await things.list()).toEqual([])
    await expectUsable()
  })

  test.each([
    ['the first', [100, 2, 3]],
    ['one between', [1, 100, 3]],
    ['the last', [1, 2, 100]],
  ])('roll everything back if %s is refused: written is no', async (_which, ids) => {
    const failure = await failureOf(async (tx) => {
      await insert(tx, 10)
      for (const id of ids) await insert(tx.atCommit, id)
    })
    // The first error is the cause, not those that follow from it.
    expect(failure).toMatchObject({ written: 'no', isRefusal: true, cause: { code: '23514' } })
    expect(await things.list()).toEqual([])
    await expectUsable()
  })
})

describe.each<
  [told: string, isRefusal: boolean, refusals: readonly (readonly [by: string, ...statements: string[]])[]]
>([
  [
    'concerns one row',
    true,
    [
      ['a constraint', 'insert into thing values (100)'],
      ['an exception', `do $$ begin raise exception 'no'; end $$`],
    ],
  ],
  [
    'may concern other rows as well',
    false,
    [
      ['a deadlock', `do $$ begin raise exception 'no' using errcode = '40P01'; end $$`],
      ['a full disk', `do $$ begin raise exception 'no' using errcode = '53100'; end $$`],
      ['a lock that another transaction holds', 'set local lock_timeout = 1', 'lock table thing'],
      ['a statement that takes too long', 'set local statement_timeout = 1', 'select pg_sleep(9)'],
      ['a database that cannot be written to', 'set transaction read only', 'delete from thing'],
    ],
  ],
])('a refusal that %s', (_told, isRefusal, refusals) => {
  test.each(refusals)('by %s has the same meaning at the commit as before it', async (_by, ...statements) => {
    const app = openDatabase({ url: things.direct.url, ssl: null, poolMax: 1 }, () => undefined)
    await app.transaction(async (theirs) => {
      await theirs.executeSql('lock table thing in row exclusive mode')
      const expected = { written: 'no', isRefusal }
      const execute = async (on: Db): Promise<void> => {
        for (const statement of statements) await on.executeSql(statement)
      }
      expect(await failureOf(execute)).toMatchObject(expected)
      expect(await failureOf((tx) => execute(tx.atCommit))).toMatchObject(expected)
    })
    await app.close()
    await expectUsable()
  })
})

describe('the connection is lost', () => {
  test.each([
    ['before the commit arrives', 'never', []],
    ['with the answer to the commit', 'unanswered', [1, 2]],
  ] as const)('%s: written is unknown', async (_when, which, written) => {
    const lost = things.proxy.loseAt('commit', which)
    const failure = await failureOf(async (tx) => {
      await insert(tx, 1)
      await insert(tx.atCommit, 2)
    })
    await lost
    expect(failure).toMatchObject({ written: 'unknown', isRefusal: false })
    expect(await things.list()).toEqual(written)
    await expectUsable()
  })

  test.each(['begin', INSERT])('at "%s", before the commit: written is no', async (text) => {
    const lost = things.proxy.loseAt(text, 'unanswered')
    const failure = await failureOf(async (tx) => {
      await insert(tx, 1)
      await insert(tx.atCommit, 2)
    })
    await lost
    expect(failure).toMatchObject({ written: 'no', isRefusal: false })
    expect(await things.list()).toEqual([])
    await expectUsable()
  })
})

describe('a statement fails, and the work ignores it', () => {
  test.each([
    ['with nothing', []],
    ['with statements at the commit', [2]],
  ])('%s: the transaction fails', async (_how, later) => {
    const failure = await failureOf(async (tx) => {
      await insert(tx, 1)
      await insert(tx, 100).catch(() => undefined)
      for (const id of later) await insert(tx.atCommit, id)
    })
    expect(failure).toMatchObject({ written: 'no' })
    expect(await things.list()).toEqual([])
    await expectUsable()
  })

  test('a later statement of that work does not reach the next transaction', async () => {
    const { promise: isOver, resolve: end } = Promise.withResolvers<void>()
    let late: Promise<unknown> | undefined
    await database
      .transaction(async (tx) => {
        late = isOver.then(() => insert(tx, 1))
        await insert(tx, 100)
      })
      .catch(() => undefined)
    end()
    await expect(late).rejects.toMatchObject({ written: 'no', cause: { code: '23514' } })
    expect(await things.list()).toEqual([])
    await expectUsable()
  })
})

test.each([
  ['3D000', { pathname: '/there_is_none' }],
  ['28000', { username: 'nobody_here' }],
])('a login that is refused with %s is no refusal of a row', async (_code, changes) => {
  const url = Object.assign(new URL(things.direct.url), changes)
  const other = openDatabase({ url: url.toString(), ssl: null, poolMax: 1 }, () => undefined)
  const failure = await other.transaction((tx) => tx.executeSql('select 1')).catch((error: unknown) => error)
  await other.close()
  expect(failure).toMatchObject({ written: 'no', isRefusal: false })
})

test('the server ends an idle transaction and frees its rows', async () => {
  await database.executeSql(INSERT, [1])
  const locked = Promise.withResolvers<void>()
  const over = Promise.withResolvers<void>()
  const silent = database.transaction(async (tx) => {
    await tx.executeSql('select from thing for update')
    locked.resolve()
    await over.promise
    // The other connection may hear of the end first.
    const isRefused = () =>
      tx.atCommit.executeSql('select 1').then(
        () => false,
        () => true,
      )
    await waitFor("the server's message", isRefused)
  })
  const failure = silent.catch((error: unknown) => error)
  await locked.promise
  // Waits for the row, for as long as it must.
  await things.direct.query('update thing set id = 2')
  over.resolve()
  expect(await failure).toMatchObject({ written: 'no', scope: 'database', cause: { code: '25P03' } })
}, 60_000)
