// What a transaction sends together, what it waits for, and that a failure at any of these points leaves nothing behind.
// How a transaction ends is tested in transaction.test.ts.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { type Database, type Db, openDatabase, type Transaction } from '../../src/postgres/pool.ts'
import { createTestDatabase, type TestDatabase, withParameter } from '../support/database.ts'
import { waitFor } from '../support/wait-for.ts'

let direct: TestDatabase
let database: Database
let troubles: string[]
/** What the pool sent since the last look. */
let sent: Buffer
/** Answers of the server that the proxy keeps back, if it does. */
let kept: { readonly chunk: Buffer; readonly pass: () => void }[] | null
/** Whether the server takes `begin` for a syntax error. */
let isBeginBroken: boolean
/** How the server's message arrives that it is ready for the next statement: with the answer, or not. */
let ready: 'at once' | 'late' | 'never' | 'an error instead'
const ends: (() => unknown)[] = []

beforeEach(async () => {
  direct = await createTestDatabase(null)
  await direct.query(
    `create table thing (id integer unique check (id < 100), name text, at timestamp default '2026-11-28 12:00:00.123')`,
  )
  sent = Buffer.alloc(0)
  kept = null
  isBeginBroken = false
  ready = 'at once'
  troubles = []
  const url = await startTap(direct.url)
  database = openDatabase({ url, ssl: null, poolMax: 1 }, (what) => troubles.push(what))
  // The connection is open and set up before a test looks at it.
  await database.executeSql('select 1')
  sent = Buffer.alloc(0)
})

afterEach(async () => {
  passAnswers()
  await database.close()
  for (const end of ends.splice(0).reverse()) await end()
  await direct.drop()
})

const READY = 'Z'.charCodeAt(0)
const READY_BYTES = 6

const SHUTTING_DOWN = Buffer.from('E\0\0\0\x1cSFATAL\0C57P01\0Mbye bye\0\0')

/** A proxy between the pool and the server. */
async function startTap(databaseUrl: string): Promise<string> {
  const real = new URL(databaseUrl)
  const tap = createServer((client) => {
    const upstream = connect(Number(real.port), real.hostname)
    client.on('data', (chunk) => {
      sent = Buffer.concat([sent, chunk])
      const text = chunk.toString('latin1')
      upstream.write(isBeginBroken ? Buffer.from(text.replace('begin iso', 'bogus iso'), 'latin1') : chunk)
    })
    const answer = async (chunk: Buffer): Promise<void> => {
      const how = chunk.at(-READY_BYTES) === READY ? ready : 'at once'
      if (how === 'at once') return void client.write(chunk)
      client.write(chunk.subarray(0, -READY_BYTES))
      if (how === 'an error instead') client.write(SHUTTING_DOWN)
      await sleep(50)
      if (how === 'late') client.write(chunk.subarray(-READY_BYTES))
      else client.destroy()
    }
    let answering = Promise.resolve()
    const answerInTurn = (chunk: Buffer): void => {
      answering = answering.then(() => answer(chunk))
    }
    upstream.on('data', (chunk) => {
      if (kept === null) answerInTurn(chunk)
      else kept.push({ chunk, pass: () => answerInTurn(chunk) })
    })
    client.on('error', () => upstream.destroy()).on('close', () => upstream.destroy())
    upstream.on('error', () => client.destroy()).on('close', () => client.destroy())
  })
  tap.listen(0, '127.0.0.1')
  await once(tap, 'listening')
  ends.push(() => tap.close())
  const url = new URL(databaseUrl)
  url.port = `${(tap.address() as AddressInfo).port}`
  return url.toString()
}

const keepAnswers = (): void => {
  kept = []
}

function passAnswers(): void {
  const passing = kept ?? []
  kept = null
  for (const { pass } of passing) pass()
}

/** Passes the answers to so many statements, and keeps back those to later ones. */
async function passOnly(statements: number): Promise<void> {
  const answered = (): number =>
    [...typesOf(Buffer.concat((kept ?? []).map(({ chunk }) => chunk)))].filter((type) => type === 'Z').length
  await waitFor(`the answers to ${statements} statements`, () => answered() === statements)
  passAnswers()
  keepAnswers()
}

/** The types of the messages: https://www.postgresql.org/docs/current/protocol-message-formats.html */
function typesOf(bytes: Buffer): string {
  let types = ''
  for (let at = 0; at < bytes.length; at += 1 + bytes.readInt32BE(at + 1))
    types += bytes.toString('latin1', at, at + 1)
  return types
}

/** Waits for these messages. No more may follow while their answers are kept back. */
async function sentWithoutAnswer(expected: string): Promise<void> {
  await waitFor(`the messages ${expected}`, () => typesOf(sent) === expected)
  // By then, a statement too many would have followed.
  for (let i = 0; i < 20; i += 1) await new Promise(setImmediate)
  expect(typesOf(sent)).toBe(expected)
  sent = Buffer.alloc(0)
}

const INSERT = 'insert into thing values ($1, $2)'
const FIND = 'select * from thing where id = any($1) order by id'

const insert = (db: Db, id: number): Promise<unknown> => db.executeSql(INSERT, [id, `thing ${id}`])

const thing = (id: number): object => ({ id, name: `thing ${id}`, at: new Date('2026-11-28T12:00:00.123Z') })

async function findAll(): Promise<number[]> {
  return (await direct.query<{ id: number }>('select id from thing order by id')).map(({ id }) => id)
}

/** Reads, decides and writes, as a batch of callbacks does. */
const readAndWrite = (id: number): Promise<unknown[]> =>
  database.transaction(async (tx) => {
    const { rows } = await tx.atBegin.executeSql(FIND, [[id - 1]])
    await insert(tx.atCommit, id)
    await tx.atCommit.executeSql('update thing set name = name where id = $1', [id])
    return rows
  })

// Q is a query without parameters: `begin` with its settings, or `commit`. Parse, Bind, Describe, Execute and Sync are
// one with parameters; once it is prepared, Parse is left out.

test('begin goes out together with the locking statement, and the writes together with the commit', async () => {
  keepAnswers()
  const running = readAndWrite(1)
  await sentWithoutAnswer('QPBDES')
  await passOnly(2)
  await sentWithoutAnswer('PBDESPBDESQ')
  passAnswers()
  await running
  expect(await findAll()).toEqual([1])
})

test('a prepared statement is not parsed again, and its rows are read all the same', async () => {
  const found = [await readAndWrite(1), await readAndWrite(2)]
  sent = Buffer.alloc(0)
  found.push(await readAndWrite(3))
  expect(typesOf(sent)).toBe('QBDESBDESBDESQ')
  expect(found).toEqual([[], [thing(1)], [thing(2)]])
  expect(await findAll()).toEqual([1, 2, 3])
})

test('a statement that may change data waits until begin has succeeded', async () => {
  keepAnswers()
  const running = database.transaction(async (tx) => {
    await insert(tx.atCommit, 2)
    await insert(tx, 1)
  })
  await sentWithoutAnswer('Q')
  passAnswers()
  await running
  expect(await findAll()).toEqual([1, 2])
})

describe('begin fails on a connection that stays open: written is no, and nothing is written by', () => {
  const work = async (tx: Transaction): Promise<void> => {
    const writing = Promise.all([insert(tx, 1), insert(tx.atCommit, 2)])
    await Promise.all([tx.atBegin.executeSql(FIND, [[1]]), writing])
  }
  const failure = { written: 'no', cause: { code: '42601' } }

  test.each<[string, (work: (tx: Transaction) => Promise<void>) => Promise<unknown>]>([
    ['a transaction', (run) => database.transaction(run)],
    [
      'a transaction whose work ignores the error',
      (run) => database.transaction((tx) => run(tx).catch(() => undefined)),
    ],
    [
      'a transaction that only writes at the commit',
      () => database.transaction((tx) => insert(tx.atCommit, 1)),
    ],
    [
      'a confirmed transaction',
      () =>
        database.confirmedTransaction((tx) => insert(tx, 1), { name: 'one', isWritten: async () => true }),
    ],
  ])('%s', async (_what, run) => {
    isBeginBroken = true
    await expect(run(work)).rejects.toMatchObject(failure)
    isBeginBroken = false
    expect(await findAll()).toEqual([])
    await readAndWrite(3)
    expect(await findAll()).toEqual([3])
    expect(database.connections().total).toBe(1)
  })
})

test('concurrent statements of a transaction each get their own answer', async () => {
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
})

test('a statement that was sent after one that failed fails with the failure of that one', async () => {
  const reasons: string[] = []
  const note = (error: Error): void => void reasons.push(error.message)
  await database
    .transaction((tx) =>
      Promise.all([
        tx.atBegin.executeSql('select 1 / 0').catch(note),
        tx.atBegin.executeSql('select 1').catch(note),
      ]),
    )
    .catch(note)
  expect(reasons).toEqual(Array.from({ length: 3 }, () => 'The database failed: division by zero'))
})

test('a transaction without statements begins and commits', async () => {
  expect(await database.transaction(async () => 'done')).toBe('done')
  expect(typesOf(sent)).toBe('QQ')
})

test('the next transaction on the same connection waits until the server is ready', async () => {
  ready = 'late'
  await Promise.all([readAndWrite(1), readAndWrite(2)])
  expect(await findAll()).toEqual([1, 2])
})

describe.each([
  'never',
  'an error instead',
] as const)('the server commits, and is ready for the next statement %s', (how) => {
  const setReady = async (tx: Transaction): Promise<void> => {
    await insert(tx, 1)
    ready = how
  }

  test('written is unknown, and the next transaction gets another connection', async () => {
    await expect(database.transaction(setReady)).rejects.toMatchObject({ written: 'unknown' })
    ready = 'at once'
    await readAndWrite(2)
    expect(await findAll()).toEqual([1, 2])
  })

  test('a confirmed transaction looks the row up and succeeds', async () => {
    const work = async (tx: Db): Promise<string> => {
      await insert(tx, 1)
      ready = how
      setTimeout(() => (ready = 'at once'), 80)
      return 'done'
    }
    const isWritten = async (tx: Db): Promise<boolean> => (await tx.executeSql(FIND, [[1]])).rows.length === 1
    await expect(database.confirmedTransaction(work, { name: 'one', isWritten })).resolves.toBe('done')
    expect(await findAll()).toEqual([1])
  })
})

test.each([
  ['from stdin', 'fails the transaction', [1]],
  ['to stdout', 'returns no rows', [1, 2]],
])('COPY %s %s and leaves nothing behind', async (direction, _what, expected) => {
  await direct.query('insert into thing values (1)')
  const copying = database.transaction(async (tx) => {
    await insert(tx, 2)
    return tx.executeSql(`copy thing ${direction}`)
  })
  if (expected.length === 2) await expect(copying).resolves.toEqual({ rows: [] })
  else
    await expect(copying).rejects.toMatchObject({ written: 'no', message: expect.stringContaining('COPY') })
  expect(await findAll()).toEqual(expected)
  await readAndWrite(3)
  expect(await findAll()).toEqual([...expected, 3])
})

test.each([
  undefined,
  0,
])("the app's query_timeout in the URL has no effect, with a time-out of ours of %s", async (queryTimeoutMs) => {
  const config = { url: withParameter(direct.url, 'query_timeout', '100'), ssl: null, poolMax: 1 }
  const limited = openDatabase(config, () => undefined, queryTimeoutMs)
  ends.push(() => limited.close())
  await limited.executeSql('select from pg_sleep(0.3)')
  const slowly = limited.transaction(async (tx) => {
    await tx.executeSql('select from pg_sleep(0.3)')
    await insert(tx, 1)
  })
  await expect(slowly).resolves.toEqual(undefined)
  expect(await findAll()).toEqual([1])
})

describe('after a failure, later transactions and statements run as usual: a statement fails', () => {
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

test('a parser of the app that throws fails the transaction and not the process', async () => {
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

test('a parser of the app that throws on rows at the commit leaves written unknown', async () => {
  const parse = pg.types.getTypeParser(pg.types.builtins.NUMERIC)
  pg.types.setTypeParser(pg.types.builtins.NUMERIC, () => {
    throw new Error('too large for me')
  })
  const failing = database.transaction(async (tx) => {
    tx.executeAtCommit('insert into thing values ($1) returning 1::numeric', [1], () => undefined)
  })
  await expect(failing).rejects.toMatchObject({ written: 'unknown' })
  pg.types.setTypeParser(pg.types.builtins.NUMERIC, parse)
  expect(await findAll()).toEqual([1])
})

describe('rows are read as the server describes them now', () => {
  test('after the app has set another parser', async () => {
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
    ['was renamed', 'alter table thing rename column name to title', { id: 1, title: 'one' }],
    ['was added', 'alter table thing add column more integer default 7', { id: 1, name: 'one', more: 7 }],
    ['was dropped', 'alter table thing drop column name', { id: 1 }],
  ])('after a column %s, on a new connection', async (_what, change, expected) => {
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
    expect(troubles).toEqual(['An idle database connection broke; the pool replaces it'])
  })
})

test('an empty statement gets an answer', async () => {
  const found = await database.transaction(async (tx) => {
    const answers = [tx.executeSql(''), tx.executeSql('-- nothing'), tx.executeSql('select 5 as five')]
    await tx.atCommit.executeSql('')
    await insert(tx.atCommit, 1)
    return Promise.all(answers)
  })
  expect(found).toEqual([{ rows: [] }, { rows: [] }, { rows: [{ five: 5 }] }])
  expect(await findAll()).toEqual([1])
})

test('the work fails while a statement is under way: the transaction is rolled back after it', async () => {
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

test('a statement after the commit is refused and reaches no later transaction', async () => {
  let late: Transaction | undefined
  await database.transaction(async (tx) => {
    late = tx
    await insert(tx, 1)
  })
  await expect(late?.executeSql(INSERT, [2, 'late'])).rejects.toThrow('The transaction has already ended')
  await expect(late?.atCommit.executeSql(INSERT, [2, 'late'])).rejects.toThrow(
    'The transaction has already ended',
  )
  await database.transaction((tx) => insert(tx, 3))
  expect(await findAll()).toEqual([1, 3])
})

test('an app that traces pg sees each statement of a transaction and its outcome', async () => {
  const ended: unknown[] = []
  const prototype = pg.Client.prototype as unknown as { query(...given: unknown[]): unknown }
  const { query } = prototype
  prototype.query = function (config, callback, ...others) {
    const traced = (error: unknown, result: unknown): void => {
      ended.push(error === null ? (config as pg.QueryConfig).text.slice(0, 6) : error)
      ;(callback as (error: unknown, result: unknown) => void)(error, result)
    }
    return query.call(this, config, traced, ...others)
  }
  try {
    await readAndWrite(1)
    await expect(database.transaction((tx) => insert(tx, 100))).rejects.toThrow()
  } finally {
    prototype.query = query
  }
  const refused = expect.any(pg.DatabaseError)
  expect(ended).toEqual(['begin ', 'select', 'insert', 'update', 'commit', 'begin ', refused, 'rollba'])
})
