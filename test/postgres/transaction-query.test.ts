// What a transaction sends and what it reads, on the wire: as few messages as can be, and whatever fails among them
// leaves nothing that would be taken for something else. How it ends is tested in pool-transaction.test.ts.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import pg from 'pg'
import { type Database, type Db, openDatabase, type Transaction } from '../../src/postgres/pool.ts'
import { PreparedStatements } from '../../src/postgres/prepared.ts'
import { RowReaders } from '../../src/postgres/row-reader.ts'
import { TransactionQuery } from '../../src/postgres/transaction-query.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { waitFor } from '../support/wait-for.ts'

let direct: TestDatabase
let database: Database
let troubles: string[]
/** Who has sent something, in turn, and what. */
let trips: { readonly by: 'us' | 'server'; bytes: Buffer }[]
/** How the server's last word comes, that it is ready for the next transaction: with the rest, or not. */
let ready: 'at once' | 'late' | 'never' | 'an error instead'
const ends: (() => unknown)[] = []

beforeEach(async () => {
  direct = await createTestDatabase(null)
  await direct.query(
    `create table thing (id integer unique check (id < 100), name text, at timestamp default '2026-11-28 12:00:00.123')`,
  )
  trips = []
  ready = 'at once'
  troubles = []
  const url = await startTap(direct.url)
  database = openDatabase({ url, ssl: null, poolMax: 1 }, (what) => troubles.push(what))
  // The connection is made and set up before anything is looked at.
  await database.executeSql('select 1')
  trips.length = 0
})

afterEach(async () => {
  await database.close()
  for (const end of ends.splice(0).reverse()) await end()
  await direct.drop()
})

const READY = 'Z'.charCodeAt(0)
const READY_BYTES = 6

const SHUTTING_DOWN = Buffer.from('E\0\0\0\x1cSFATAL\0C57P01\0Mbye bye\0\0')

/** A proxy that writes down what passes. */
async function startTap(databaseUrl: string): Promise<string> {
  const real = new URL(databaseUrl)
  const tap = createServer((client) => {
    const upstream = connect(Number(real.port), real.hostname)
    for (const [by, from, to] of [
      ['us', client, upstream],
      ['server', upstream, client],
    ] as const) {
      from.on('data', (chunk) => {
        const last = trips.at(-1)
        if (last?.by === by) last.bytes = Buffer.concat([last.bytes, chunk])
        else trips.push({ by, bytes: chunk })
        if (ready === 'at once' || by === 'us' || chunk.at(-READY_BYTES) !== READY) {
          to.write(chunk)
          return
        }
        const how = ready
        to.write(chunk.subarray(0, -READY_BYTES))
        if (how === 'an error instead') to.write(SHUTTING_DOWN)
        setTimeout(() => (how === 'late' ? to.write(chunk.subarray(-READY_BYTES)) : to.destroy()), 50)
      })
      from.on('error', () => to.destroy()).on('close', () => to.destroy())
    }
  })
  tap.listen(0, '127.0.0.1')
  await once(tap, 'listening')
  ends.push(() => tap.close())
  const url = new URL(databaseUrl)
  url.port = `${(tap.address() as AddressInfo).port}`
  return url.toString()
}

/** The types of the messages: https://www.postgresql.org/docs/current/protocol-message-formats.html */
function typesOf(bytes: Buffer): string {
  let types = ''
  for (let at = 0; at < bytes.length; at += 1 + bytes.readInt32BE(at + 1))
    types += bytes.toString('latin1', at, at + 1)
  return types
}

const passed = (): string[] => trips.map(({ by, bytes }) => `${by}: ${typesOf(bytes)}`)

const INSERT = 'insert into thing values ($1, $2)'
const FIND = 'select * from thing where id = any($1) order by id'

const insert = (db: Db, id: number): Promise<unknown> => db.executeSql(INSERT, [id, `thing ${id}`])

const thing = (id: number): object => ({ id, name: `thing ${id}`, at: new Date('2026-11-28T12:00:00.123Z') })

async function findAll(): Promise<number[]> {
  return (await direct.query<{ id: number }>('select id from thing order by id')).map(({ id }) => id)
}

/** Reads, decides and writes, as a list of callbacks does. */
const readAndWrite = (id: number): Promise<unknown[]> =>
  database.transaction(async (tx) => {
    const { rows } = await tx.executeSql(FIND, [[id - 1]])
    await insert(tx.atCommit, id)
    await tx.atCommit.executeSql('update thing set name = name where id = $1', [id])
    return rows
  })

test('a transaction goes to the server twice, and the server answers twice', async () => {
  await readAndWrite(1)
  // Parse, Bind, Describe, Execute and Flush or Sync; and what each of them is answered with.
  expect(passed()).toEqual(['us: PBEPBEPBDEH', 'server: 12C12DC12TC', 'us: PBEPBEPBES', 'server: 12C12C12CZ'])
})

test('what is prepared already is not parsed again, and its rows are read all the same', async () => {
  const expected = [[], [thing(1)], [thing(2)]]
  const found = [await readAndWrite(1), await readAndWrite(2)]
  trips.length = 0
  found.push(await readAndWrite(3))
  expect(passed()).toEqual(['us: BEBEBDEH', 'server: 2C2DC2TDC', 'us: BEBEBES', 'server: 2C2C2CZ'])
  expect(found).toEqual(expected)
  expect(await findAll()).toEqual([1, 2, 3])
})

test('statements that are asked for together are sent together, and each gets its own answer', async () => {
  await direct.query(`insert into thing values (1, 'thing 1'), (2, 'thing 2')`)
  const found = await database.transaction((tx) =>
    Promise.all([
      tx.executeSql(FIND, [[1]]),
      tx.executeSql('select 5 as five, null as nothing'),
      tx.executeSql(FIND, [[2, 1]]),
      insert(tx, 3),
    ]),
  )
  expect(found).toEqual([
    { rows: [thing(1)] },
    { rows: [{ five: 5, nothing: null }] },
    { rows: [thing(1), thing(2)] },
    { rows: [] },
  ])
  expect(trips).toHaveLength(4)
})

test('a transaction in which nothing is asked for is one all the same', async () => {
  expect(await database.transaction(async () => 'done')).toBe('done')
  expect(passed()).toEqual(['us: PBEPBEPBES', 'server: 12C12DC12CZ'])
})

test('the next one on the same connection waits until the server is ready for it', async () => {
  ready = 'late'
  await Promise.all([readAndWrite(1), readAndWrite(2)])
  expect(await findAll()).toEqual([1, 2])
})

test.each([
  'never',
  'an error instead',
] as const)('it is known to be committed if the server is ready %s, and the next one gets another connection', async (how) => {
  ready = how
  await readAndWrite(1)
  ready = 'at once'
  await readAndWrite(2)
  expect(await findAll()).toEqual([1, 2])
})

test('COPY is refused, and leaves nothing behind', async () => {
  for (const copy of ['copy thing from stdin', 'copy thing to stdout']) {
    await direct.query('insert into thing values (1) on conflict do nothing')
    const failing = database.transaction(async (tx) => {
      await insert(tx, 2)
      await tx.executeSql(copy)
    })
    await expect(failing).rejects.toMatchObject({ written: 'no', message: expect.stringContaining('COPY') })
    await database.transaction((tx) => tx.executeSql('select 1'))
  }
  expect(await findAll()).toEqual([1])
})

test('a limit that the app has set for its statements is none for a whole transaction', async () => {
  const limited = openDatabase(
    { url: `${direct.url}?query_timeout=100`, ssl: null, poolMax: 1 },
    () => undefined,
  )
  ends.push(() => limited.close())
  const slowly = limited.transaction(async (tx) => {
    await tx.executeSql('select from pg_sleep(0.3)')
    await insert(tx, 1)
  })
  await expect(slowly).resolves.toEqual(undefined)
  expect(await findAll()).toEqual([1])
})

describe('something fails, and nothing that was sent after it is taken for known', () => {
  const others = ['delete from thing where id = $1', 'update thing set name = name where id = $1']

  test.each([
    ['before the commit', (tx: Db) => tx],
    ['with the commit', (_tx: Db, atCommit: Db) => atCommit],
  ])('%s', async (_when, choose) => {
    const failing = database.transaction(async (tx) => {
      const db = choose(tx, tx.atCommit)
      await Promise.all([insert(db, 100), ...others.map((text) => db.executeSql(text, [1]))])
    })
    await expect(failing).rejects.toMatchObject({ written: 'no', cause: { code: '23514' } })
    await database.transaction(async (tx) => {
      for (const text of others) await tx.executeSql(text, [1])
      await insert(tx, 1)
    })
    for (const text of others) await database.executeSql(text, [2])
    expect(await findAll()).toEqual([1])
    expect(troubles).toEqual([])
  })

  test.each([
    ['before the commit', (tx: Db) => tx],
    ['with the commit', (_tx: Db, atCommit: Db) => atCommit],
  ])('a value that cannot be written, %s', async (_when, choose) => {
    const circular: Record<string, unknown> = {}
    circular['self'] = circular
    const failing = database.transaction(async (tx) => {
      const db = choose(tx, tx.atCommit)
      await Promise.all([
        insert(db, 1),
        db.executeSql(others[0] as string, [circular]),
        db.executeSql(others[1] as string, [1]),
      ])
    })
    await expect(failing).rejects.toMatchObject({
      written: 'no',
      message: expect.stringContaining('circular'),
    })
    await database.transaction(async (tx) => {
      for (const text of others) await tx.executeSql(text, [2])
      await insert(tx, 3)
    })
    expect(await findAll()).toEqual([3])
    expect(troubles).toEqual([])
  })
})

test('a parser of the app that throws fails the transaction, and not the process', async () => {
  const parse = pg.types.getTypeParser(pg.types.builtins.NUMERIC)
  pg.types.setTypeParser(pg.types.builtins.NUMERIC, () => {
    throw new Error('too large for me')
  })
  const failing = database.transaction(async (tx) => {
    await insert(tx, 1)
    await tx.executeSql('select 1::numeric as one, 2 as two from generate_series(1, 3)')
  })
  await expect(failing).rejects.toMatchObject({
    written: 'no',
    message: expect.stringContaining('too large for me'),
  })
  pg.types.setTypeParser(pg.types.builtins.NUMERIC, parse)
  await database.transaction((tx) => insert(tx, 2))
  expect(await findAll()).toEqual([2])
})

describe('rows are read as they are described now, not as they once were', () => {
  test('when the app has given pg another parser', async () => {
    const parse = pg.types.getTypeParser(pg.types.builtins.NUMERIC)
    const read = (): Promise<unknown> =>
      database.transaction((tx) => tx.executeSql('select $1::numeric as one, 2 as two', [1]))
    expect(await read()).toEqual({ rows: [{ one: '1', two: 2 }] })
    pg.types.setTypeParser(pg.types.builtins.NUMERIC, Number)
    try {
      expect(await read()).toEqual({ rows: [{ one: 1, two: 2 }] })
    } finally {
      pg.types.setTypeParser(pg.types.builtins.NUMERIC, parse)
    }
    expect(await read()).toEqual({ rows: [{ one: '1', two: 2 }] })
  })

  test.each([
    ['has another name', 'alter table thing rename column name to title', { id: 1, title: 'one' }],
    ['has come', 'alter table thing add column more integer default 7', { id: 1, name: 'one', more: 7 }],
    ['has gone', 'alter table thing drop column name', { id: 1 }],
  ])('when a column %s, on a new connection', async (_what, change, expected) => {
    const read = (): Promise<unknown> =>
      database.transaction((tx) => tx.executeSql('select * from thing where id = $1', [1]))
    await direct.query('alter table thing drop column at')
    await direct.query(`insert into thing values (1, 'one')`)
    expect(await read()).toEqual({ rows: [{ id: 1, name: 'one' }] })
    await direct.query(change)
    await direct.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name = 'sms-retry'`,
    )
    await waitFor('the end of the connection', () => database.connections().total === 0)
    expect(await read()).toEqual({ rows: [expected] })
    expect(troubles).toEqual(['A database connection broke while it was not in use'])
  })
})

test('a statement without a command has an answer as well', async () => {
  const found = await database.transaction(async (tx) => {
    const answers = [tx.executeSql(''), tx.executeSql('-- nothing'), tx.executeSql('select 5 as five')]
    await tx.atCommit.executeSql('')
    await insert(tx.atCommit, 1)
    return Promise.all(answers)
  })
  expect(found).toEqual([{ rows: [] }, { rows: [] }, { rows: [{ five: 5 }] }])
  expect(await findAll()).toEqual([1])
})

test('the work fails while a statement is under way: it is waited for, and rolled back', async () => {
  let answered: Promise<unknown> | undefined
  const failing = database.transaction(async (tx) => {
    answered = tx.executeSql('select from pg_sleep(0.3)')
    await insert(tx.atCommit, 1)
    throw new Error('changed its mind')
  })
  await expect(failing).rejects.toThrow('changed its mind')
  expect(await answered).toEqual({ rows: [{}] })
  await database.transaction((tx) => insert(tx, 2))
  expect(await findAll()).toEqual([2])
})

test('what is asked for after the commit is refused, and gets into nothing that comes later', async () => {
  let late: Transaction | undefined
  await database.transaction(async (tx) => {
    late = tx
    await insert(tx, 1)
  })
  await expect(late?.executeSql(INSERT, [2, 'late'])).rejects.toThrow('The transaction is over')
  await expect(late?.atCommit.executeSql(INSERT, [2, 'late'])).rejects.toThrow('The transaction is over')
  await database.transaction((tx) => insert(tx, 3))
  expect(await findAll()).toEqual([1, 3])
})

test('on a connection that is not ready it fails, rather than lose a statement', async () => {
  const client = new pg.Client(direct.url)
  client.on('error', () => undefined)
  await client.connect()
  const before = client.query('select from pg_sleep(0.2)')
  const query = new TransactionQuery(new PreparedStatements(() => undefined), new RowReaders(pg.types), 0, [
    'begin',
  ])
  client.query(query)
  await expect(query.execute({ text: INSERT, values: [1, 'lost'] })).rejects.toThrow('was not ready')
  await before
  await client.end()
  expect(await findAll()).toEqual([])
})

test('whoever wraps the callbacks of queries, to trace them, is told how a transaction ends', async () => {
  const ended: unknown[] = []
  const prototype = pg.Client.prototype as unknown as { query(...given: unknown[]): unknown }
  const { query } = prototype
  prototype.query = function (given, ...others) {
    if (given instanceof TransactionQuery) {
      const { callback } = given
      given.callback = function (error) {
        ended.push(error)
        callback.call(this, error)
      }
    }
    return query.call(this, given, ...others)
  }
  try {
    await readAndWrite(1)
    await expect(database.transaction((tx) => insert(tx, 100))).rejects.toThrow()
    await readAndWrite(2)
  } finally {
    prototype.query = query
  }
  expect(ended).toEqual([null, expect.any(pg.DatabaseError), null])
})

/** Bytes in V8's old generation, after collections of the young one alone. */
function promotedBytes(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as (options: { type: 'minor' }) => void
  // What survives two of them has been promoted.
  for (let i = 0; i < 2; i += 1) collect({ type: 'minor' })
  return getHeapSpaceStatistics()
    .filter(({ space_name }) => /^old/.test(space_name))
    .reduce((sum, { space_used_size }) => sum + space_used_size, 0)
}

test('nothing of it outlives the next collection of garbage', async () => {
  const transactions = 2_000
  const runAll = async (): Promise<void> => {
    for (let i = 0; i < transactions; i += 1) {
      await database.transaction(async (tx) => {
        await tx.executeSql('select $1::text as "text"', ['x'.repeat(1_000)])
        await tx.atCommit.executeSql('select $1::integer as "number"', [i])
      })
      trips.length = 0
    }
  }
  await runAll()
  const before = promotedBytes()
  await runAll()
  // The text alone has twice as many.
  expect((promotedBytes() - before) / transactions).toBeLessThan(500)
})
