// A transaction that must not be done twice: whatever happens to its connection, the caller learns whether it was
// committed, or that nobody knows.
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { type Database, type Db, openDatabase } from '../../src/postgres/pool.ts'
import { freePort, startEmbeddedPostgres } from '../../src/demo/embedded-postgres.ts'
import { DatabaseError } from '../../src/shared/errors.ts'
import { type DatabaseProxy, startDatabaseProxy } from '../http/database-proxy.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let direct: TestDatabase
let proxy: DatabaseProxy
let database: Database

beforeEach(async () => {
  direct = await createTestDatabase(null)
  await direct.query('create table thing (id integer unique deferrable initially deferred)')
  proxy = await startDatabaseProxy(direct.url, await freePort())
  database = open(4)
})

afterEach(async () => {
  await proxy.set('there')
  await database.close()
  await proxy.close()
  await direct.drop()
})

function open(poolMax: number): Database {
  return openDatabase({ url: proxy.url, ssl: null, poolMax }, () => undefined)
}

/** Each has a name of its own. */
function confirmed<T>(work: (tx: Db) => Promise<T>, isWritten: (tx: Db) => Promise<boolean>): Promise<T> {
  return database.confirmedTransaction(work, { name: randomUUID(), isWritten })
}

const neverAsked = async (): Promise<boolean> => {
  throw new Error('the lookup ran although the commit was answered or never sent')
}

const isThere =
  (id: number) =>
  async (tx: Db): Promise<boolean> =>
    (await tx.executeSql('select 1 from thing where id = $1', [id])).rows.length > 0

async function insert(id: number): Promise<void> {
  await confirmed((tx) => tx.executeSql('insert into thing values ($1)', [id]), isThere(id))
}

/** @returns what the work returned; or the error */
function insertThing(): Promise<unknown> {
  return insert(1)
    .then(() => 'inserted')
    .catch((error: unknown) => error)
}

async function things(): Promise<number> {
  return (await direct.query('select 1 from thing')).length
}

async function expectFailure(failure: unknown, written: 'no' | 'unknown'): Promise<void> {
  expect(failure).toBeInstanceOf(DatabaseError)
  expect(failure).toMatchObject({ written, cause: expect.any(Error) })
}

/** On the same pool, whose broken connections must be gone. */
async function expectUsable(): Promise<void> {
  const answers = Array.from({ length: 6 }, () =>
    confirmed((tx) => tx.executeSql('select 1 as "one"'), neverAsked),
  )
  expect((await Promise.all(answers)).map(({ rows }) => rows)).toEqual(Array(6).fill([{ one: 1 }]))
}

describe('without a failure', () => {
  test('the row is in the table', async () => {
    expect(await insertThing()).toBe('inserted')
    expect(await things()).toBe(1)
  })

  test('an error of the work reaches the caller unchanged, and nothing is written', async () => {
    const changedItsMind = new Error('changed its mind')
    const work = confirmed(async (tx) => {
      await tx.executeSql('insert into thing values (1)')
      throw changedItsMind
    }, neverAsked)
    await expect(work).rejects.toBe(changedItsMind)
    expect(await things()).toBe(0)
    await expectUsable()
  })
})

describe('the server refuses the commit: written is no', () => {
  test('because of a deferred constraint', async () => {
    await direct.query('insert into thing values (1)')
    await expectFailure(await insertThing(), 'no')
    expect(await things()).toBe(1)
    await expectUsable()
  })

  test.each([
    ['an error', 'P0001'],
    // A server that shuts down reports it like this, at any point of the commit.
    ['the end of the server', '57P01'],
  ])('because of a deferred trigger that raises %s', async (_what, code) => {
    await direct.query(
      `create function refuse() returns trigger language plpgsql as
       $$ begin raise exception 'not today' using errcode = '${code}'; end $$`,
    )
    await direct.query(
      `create constraint trigger refuse after insert on thing
       deferrable initially deferred for each row execute function refuse()`,
    )
    await expectFailure(await insertThing(), 'no')
    expect(await things()).toBe(0)
    await expectUsable()
  })
})

describe.each([[1], [4]])('a connection of a pool of %s is lost', (poolMax) => {
  beforeEach(async () => {
    await database.close()
    database = open(poolMax)
  })

  test.each([
    'begin',
    'insert into thing',
    'pg_advisory_xact_lock',
    'commit',
  ])('before the server receives "%s": written is no', async (text) => {
    const lost = proxy.loseAt(text, 'never')
    await expectFailure(await insertThing(), 'no')
    await lost
    expect(await things()).toBe(0)
    await expectUsable()
  })

  test('with the answer to the commit: the lookup finds the row', async () => {
    const lost = proxy.loseAt('commit', 'unanswered')
    expect(await insertThing()).toBe('inserted')
    await lost
    expect(await things()).toBe(1)
    await expectUsable()
  })

  test('with the answer to the commit, while the database is away for a moment: the lookup finds the row', async () => {
    const lost = proxy.loseAt('commit', 'unanswered', 'away')
    const inserting = insertThing()
    await lost
    // The first lookup fails, the next one is answered.
    await sleep(300)
    await proxy.set('there')
    expect(await inserting).toBe('inserted')
    expect(await things()).toBe(1)
    await expectUsable()
  })
})

test('a pooler loses the server at the commit and reports an error: the lookup finds the row', async () => {
  const lost = proxy.loseAt('commit', 'unanswered', 'reported')
  const inserted = await insertThing()
  await lost
  expect(await things()).toBe(1)
  expect(inserted).toBe('inserted')
  await expectUsable()
})

test('the answer to the commit never comes on an open connection: the lookup finds the row', async () => {
  const lost = proxy.loseAt('commit', 'unanswered', 'silence')
  const inserting = insertThing()
  await lost
  expect(await things()).toBe(1)
  expect(await inserting).toBe('inserted')
  expect(await things()).toBe(1)
  await expectUsable()
})

test('the server crashes after the commit, and its answer is lost: the lookup waits and succeeds', async () => {
  const server = await startEmbeddedPostgres(['fsync=off', 'listen_addresses=127.0.0.1'])
  const crashing = await startDatabaseProxy(server.url('postgres'), await freePort())
  const survivor = openDatabase({ url: crashing.url, ssl: null, poolMax: 1 }, () => undefined)
  try {
    const lost = crashing.loseAt('commit', 'unanswered', 'away')
    const creating = survivor.confirmedTransaction((tx) => tx.executeSql('create table thing (id integer)'), {
      name: 'thing',
      isWritten: async (tx) =>
        (await tx.executeSql(`select 1 from pg_class where relname = 'thing'`)).rows.length > 0,
    })
    await lost
    await server.restart('crash')
    await crashing.set('there')
    await creating
    expect(await survivor.executeSql('select * from thing')).toMatchObject({ rows: [] })
  } finally {
    await survivor.close()
    await crashing.close()
    await server.stop()
  }
})

test('the server ends the connection before the commit: written is no', async () => {
  const inserting = confirmed(async (tx) => {
    await tx.executeSql('insert into thing values (1)')
    await direct.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name = 'sms-retry'`,
    )
  }, isThere(1)).catch((error: unknown) => error)
  await expectFailure(await inserting, 'no')
  expect(await things()).toBe(0)
  await expectUsable()
})

describe('the database stays away: written is unknown', () => {
  test.each([
    ['unanswered', 1],
    ['never', 0],
  ] as const)('the commit was %s', async (which, written) => {
    const lost = proxy.loseAt('commit', which, 'away')
    await expectFailure(await insertThing(), 'unknown')
    await lost
    await proxy.set('there')
    expect(await things()).toBe(written)
    await expectUsable()
  })
})

test('ten transactions in a row that each lose the answer to the commit are committed once each', async () => {
  for (let number = 1; number <= 10; number += 1) {
    const lost = proxy.loseAt('commit', 'unanswered')
    await insert(number)
    await lost
  }
  expect(await things()).toBe(10)
})
