// Statements are prepared once a connection; and when these get lost, as behind a pooler, what was asked for is done
// all the same, once.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { type Database, type Db, openDatabase } from '../../src/postgres/pool.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { configOf } from '../db/original-table.ts'

let own: TestDatabase
let database: Database
let troubles: string[]

beforeEach(async () => {
  own = await createTestDatabase(null)
  await own.query('create table thing (id integer, name varchar(10))')
  troubles = []
  database = open()
})

afterEach(async () => {
  await database.close()
  await own.drop()
})

/** With one connection, its prepared statements can be seen. */
function open(poolMax = 1): Database {
  return openDatabase(configOf(own, poolMax), (what) => troubles.push(what))
}

interface Prepared {
  readonly name: string
  readonly text: string
}

async function preparedBy(db = database): Promise<Prepared[]> {
  const { rows } = await db.executeSql<Prepared>(
    'select name, statement as "text" from pg_prepared_statements order by prepare_time, name',
  )
  return rows
}

const INSERT = 'insert into thing values ($1, $2)'
const FIND = 'select * from thing where id = $1'

const insert = (db: Pick<Database, 'executeSql'>, id: number): Promise<unknown> =>
  db.executeSql(INSERT, [id, `thing ${id}`])

async function find(id: number, db: Pick<Database, 'executeSql'> = database): Promise<unknown[]> {
  return (await db.executeSql(FIND, [id])).rows
}

async function things(): Promise<number[]> {
  const rows = await own.query<{ id: number }>('select id from thing order by id')
  return rows.map(({ id }) => id)
}

describe('what is prepared', () => {
  test('is each text with values, once, and each text of a transaction', async () => {
    await insert(database, 1)
    await insert(database, 2)
    await database.transaction(async (tx) => {
      await find(1, tx)
      await insert(tx.atCommit, 3)
    })
    expect(await find(3)).toEqual([{ id: 3, name: 'thing 3' }])
    expect((await preparedBy()).map(({ text }) => text)).toEqual([INSERT, FIND])
    expect(await things()).toEqual([1, 2, 3])
  })

  test('is no text without values outside a transaction, which may hold several statements', async () => {
    await database.executeSql('insert into thing values (1); insert into thing values (2)')
    await database.executeSql('insert into thing values (3); insert into thing values (4)', [])
    expect(await preparedBy()).toEqual([])
    expect(await things()).toEqual([1, 2, 3, 4])
  })

  test('has a name that follows from its text: other processes give it the same', async () => {
    const other = open()
    await insert(database, 1)
    await find(1)
    // In another order.
    await find(1, other)
    await insert(other, 2)
    const [ours, theirs] = [await preparedBy(), await preparedBy(other)]
    await other.close()
    expect(new Set(ours.map(({ name }) => name)).size).toBe(2)
    expect(theirs).toEqual(ours.toReversed())
  })

  test('is not without limit: more different texts work, and are not prepared', async () => {
    const numbers = Array.from({ length: 150 }, (_, i) => i)
    const ask = async (): Promise<number[]> => {
      const answers = numbers.map((n) =>
        database.executeSql<{ sum: number }>(`select ${n} + $1::int as sum`, [1]),
      )
      return (await Promise.all(answers)).map(({ rows }) => rows[0]?.sum ?? Number.NaN)
    }
    const expected = numbers.map((n) => n + 1)
    expect([await ask(), await ask()]).toEqual([expected, expected])
    expect(await preparedBy()).toHaveLength(100)
  })
})

/** As a pooler does that hands on another connection to the server. */
async function forget(): Promise<void> {
  await database.executeSql('deallocate all')
}

/** As a pooler does whose connection was another process's before. */
async function prepareAlready(): Promise<void> {
  const other = open()
  await insert(other, 90)
  await find(90, other)
  const prepared = await preparedBy(other)
  await other.close()
  for (const { name, text } of prepared) await database.executeSql(`prepare ${name} as ${text}`)
}

/** As a migration of the app's does. */
async function changeType(): Promise<void> {
  await own.query('alter table thing alter column name type text')
}

describe.each([
  ['they were forgotten', forget, true],
  ['a column has changed its type', changeType, true],
  ['somebody else has prepared the same', prepareAlready, false],
])('when %s', (_what, lose, isPreparedBefore) => {
  beforeEach(async () => {
    if (isPreparedBefore) {
      await insert(database, 90)
      await find(90)
    }
    await lose()
  })

  test('the same statement succeeds, and this is told once', async () => {
    const expected = [{ id: 90, name: 'thing 90' }]
    expect([await find(90), await find(90)]).toEqual([expected, expected])
    await insert(database, 1)
    expect(await things()).toEqual([1, 90])
    expect(troubles).toHaveLength(1)
  })

  test('many at once succeed, each once, and this is told once', async () => {
    const ids = Array.from({ length: 20 }, (_, i) => i)
    await Promise.all(ids.flatMap((id) => [insert(database, id), find(id)]))
    expect(await things()).toEqual([...ids, 90])
    expect(troubles).toHaveLength(1)
  })

  test('a transaction is done once, and as a whole', async () => {
    const result = await database.transaction(async (tx) => {
      await tx.executeSql('insert into thing values ($1)', [1])
      const found = await find(90, tx)
      await insert(tx, 2)
      return found
    })
    expect(result).toEqual([{ id: 90, name: 'thing 90' }])
    expect(await things()).toEqual([1, 2, 90])
    expect(troubles).toHaveLength(1)
  })

  test('a transaction whose last statements are sent with the commit is done once, and as a whole', async () => {
    await database.transaction(async (tx) => {
      await tx.executeSql('insert into thing values ($1)', [1])
      await find(90, tx.atCommit)
      await insert(tx.atCommit, 2)
    })
    expect(await things()).toEqual([1, 2, 90])
    expect(troubles).toHaveLength(1)
  })

  test('a transaction that must not be done twice is done once, and as a whole', async () => {
    const work = async (tx: Db): Promise<void> => {
      await tx.executeSql('insert into thing values ($1)', [1])
      await find(90, tx)
      await insert(tx, 2)
    }
    await database.confirmedTransaction(work, { name: 'once', isWritten: async () => false })
    expect(await things()).toEqual([1, 2, 90])
    expect(troubles).toHaveLength(1)
  })
})

test('when they get lost on several connections at once, each transaction succeeds, and this is told once', async () => {
  const several = open(4)
  const onEach = (): Promise<unknown[]> => {
    const begun: Promise<unknown>[] = []
    const transactions = Array.from({ length: 4 }, (_, id) =>
      several.transaction(async (tx) => {
        begun.push(tx.executeSql('select 1'))
        // None ends before all have begun, so that each has a connection of its own.
        while (begun.length < 4) await new Promise(setImmediate)
        await insert(tx, id)
        return find(90, tx)
      }),
    )
    return Promise.all(transactions)
  }
  await insert(database, 90)
  await onEach()
  await changeType()
  expect(await onEach()).toEqual(Array(4).fill([{ id: 90, name: 'thing 90' }]))
  await several.close()
  expect(await things()).toEqual([0, 0, 1, 1, 2, 2, 3, 3, 90])
  expect(troubles).toHaveLength(1)
})

test('any other error is told as it is, and what is prepared stays in use', async () => {
  await insert(database, 1)
  await expect(database.executeSql(INSERT, [2, 'a name that is too long'])).rejects.toMatchObject({
    code: 'DATABASE',
    written: 'no',
  })
  // Not supported at all, which has the code of a statement that has gone stale.
  await expect(database.executeSql('create table t (a int check (a > (select 1)))')).rejects.toMatchObject({
    cause: { code: '0A000' },
  })
  await insert(database, 3)
  expect(await things()).toEqual([1, 3])
  expect(troubles).toEqual([])
  expect((await preparedBy()).map(({ text }) => text)).toContain(INSERT)
})
