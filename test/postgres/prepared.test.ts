// Statements are prepared once per connection. When they get lost, as behind a pooler, the work is still done once.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { type Database, type Db, openDatabase } from '../../src/postgres/pool.ts'
import { PreparedStatements } from '../../src/postgres/prepared.ts'
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

/** With a single connection, a test can look at its prepared statements. */
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

describe('prepared statements', () => {
  test('each text with values is prepared once', async () => {
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

  test('a text without values is not prepared: it may hold several statements', async () => {
    await database.executeSql('insert into thing values (1); insert into thing values (2)')
    await database.executeSql('insert into thing values (3); insert into thing values (4)', [])
    expect(await preparedBy()).toEqual([])
    expect(await things()).toEqual([1, 2, 3, 4])
  })

  test('all processes derive the same name from a text', async () => {
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

  test('at most 100 texts are prepared; further ones run unprepared', async () => {
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

/** As a pooler does that switches to another server connection. */
async function forget(): Promise<void> {
  await database.executeSql('deallocate all')
}

/** As a pooler does whose server connection another process used before. */
async function prepareAlready(): Promise<void> {
  const other = open()
  await insert(other, 90)
  await find(90, other)
  const prepared = await preparedBy(other)
  await other.close()
  for (const { name, text } of prepared) await database.executeSql(`prepare ${name} as ${text}`)
}

/** As a migration of the app does. */
async function changeType(): Promise<void> {
  await own.query('alter table thing alter column name type text')
}

describe.each([
  ['prepared statements are gone', forget, true],
  ['a column has changed its type', changeType, true],
  ['another process has prepared the same statement', prepareAlready, false],
])('when %s', (_what, lose, isPreparedBefore) => {
  beforeEach(async () => {
    if (isPreparedBefore) {
      await insert(database, 90)
      await find(90)
    }
    await lose()
  })

  test('the statement succeeds, and the loss is reported once', async () => {
    const expected = [{ id: 90, name: 'thing 90' }]
    expect([await find(90), await find(90)]).toEqual([expected, expected])
    await insert(database, 1)
    expect(await things()).toEqual([1, 90])
    expect(troubles).toHaveLength(1)
  })

  test('many concurrent statements run once each, and the loss is reported once', async () => {
    const ids = Array.from({ length: 20 }, (_, i) => i)
    await Promise.all(ids.flatMap((id) => [insert(database, id), find(id)]))
    expect(await things()).toEqual([...ids, 90])
    expect(troubles).toHaveLength(1)
  })

  test('a transaction runs once and completely', async () => {
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

  test('a transaction with statements at the commit runs once and completely', async () => {
    await database.transaction(async (tx) => {
      await tx.executeSql('insert into thing values ($1)', [1])
      await find(90, tx.atCommit)
      await insert(tx.atCommit, 2)
    })
    expect(await things()).toEqual([1, 2, 90])
    expect(troubles).toHaveLength(1)
  })

  test('a confirmed transaction runs once and completely', async () => {
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

test('prepared statements get lost on several connections together: each transaction succeeds, and the loss is reported once', async () => {
  const several = open(4)
  const onEach = (): Promise<unknown[]> => {
    const begun: Promise<unknown>[] = []
    const transactions = Array.from({ length: 4 }, (_, id) =>
      several.transaction(async (tx) => {
        begun.push(tx.executeSql('select 1'))
        // Each must have a connection of its own, so none ends before all have begun.
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

test('any other error reaches the caller, and prepared statements stay in use', async () => {
  await insert(database, 1)
  await expect(database.executeSql(INSERT, [2, 'a name that is too long'])).rejects.toMatchObject({
    code: 'DATABASE',
    written: 'no',
  })
  // The same code as a stale plan, for a feature that does not exist.
  await expect(database.executeSql('create table t (a int check (a > (select 1)))')).rejects.toMatchObject({
    cause: { code: '0A000' },
  })
  await insert(database, 3)
  expect(await things()).toEqual([1, 3])
  expect(troubles).toEqual([])
  expect((await preparedBy()).map(({ text }) => text)).toContain(INSERT)
})

test('the connection that lost them is replaced', async () => {
  const pidOf = async (): Promise<unknown> => {
    const { rows } = await database.executeSql<{ pid: number }>('select pg_backend_pid() as pid')
    return rows[0]?.pid
  }
  await insert(database, 1)
  const before = await pidOf()
  await forget()
  await insert(database, 2)
  expect(await pidOf()).not.toBe(before)
  expect(await things()).toEqual([1, 2])
})

test('statements are prepared again after a minute, and the next loss is reported again', async () => {
  let nowMs = 0
  const reported: string[] = []
  const prepared = new PreparedStatements(
    ({ message }) => reported.push(message),
    () => nowMs,
  )
  const name = (): string | undefined => prepared.toQuery(FIND, [1]).name
  const lost = Object.assign(new pg.DatabaseError('gone', 0, 'error'), { code: '26000' })
  const loseOnce = async (): Promise<string | undefined> => {
    let isFirst = true
    return prepared.run(async () => {
      if (!isFirst) return name()
      isFirst = false
      throw lost
    })
  }
  const given = name()
  expect(given).toEqual(expect.stringMatching(/^sms_retry_/))
  expect(await loseOnce()).toBeUndefined()
  nowMs = 59_999
  expect(await loseOnce()).toBeUndefined()
  expect(reported).toEqual(['gone'])
  nowMs = 60_000
  expect(name()).toBe(given)
  expect(await loseOnce()).toBeUndefined()
  expect(reported).toEqual(['gone', 'gone'])
})
