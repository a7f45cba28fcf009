// The web process while its database is away, silent, cut off in the middle or not migrated: it says so, goes on
// answering, and recovers by itself.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { migrate } from '../../src/processes/migrate.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { waitFor } from '../support/wait-for.ts'
import { type DatabaseProxy, startDatabaseProxy } from './database-proxy.ts'
import * as endpoint from './endpoint.ts'

let database: TestDatabase
let proxy: DatabaseProxy
let target: endpoint.Endpoint

beforeEach(async () => {
  database = await createTestDatabase()
  proxy = await startDatabaseProxy(database.url, await freePort())
})

afterEach(async () => {
  expect(endpoint.personalLines(target.log)).toEqual([])
  await target.stop()
  await proxy.close()
  await database.drop()
})

async function start(): Promise<void> {
  target = await endpoint.startEndpoint(proxy.url)
}

async function get(path: string): Promise<{ status: number; text: string }> {
  const response = await fetch(target.url + path)
  return { status: response.status, text: await response.text() }
}

function post(row: endpoint.ForeignRow): Promise<endpoint.Answer> {
  const fields = endpoint.undelivered(endpoint.ACCOUNT_SID, row.sid)
  return endpoint.post(target, { path: endpoint.statusPath(row.id), fields })
}

/** The callback counts once it gets through, however often it came before. */
async function expectRecorded(row: endpoint.ForeignRow): Promise<void> {
  await waitFor('the callback to get through', async () => (await post(row)).status === 204)
  expect(await post(row)).toMatchObject({ status: 204 })
  expect(await statusOf(row)).toBe('retrying')
  expect(await endpoint.jobs(database)).toEqual([{ data: { message: row.id, attempt: 1 } }])
}

async function statusOf({ id }: endpoint.ForeignRow): Promise<unknown> {
  const [row] = await database.query('select final_status from sms_usage_logs where id = $1', [id])
  return row?.['final_status']
}

/** Ends every connection of the web process, as a restart of PostgreSQL does. */
function endBackends(): Promise<unknown> {
  return database.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name = 'sms-retry'`,
  )
}

describe('the database is away', () => {
  test('from the start: the process starts all the same, and is ready once the database is back', async () => {
    const row = await endpoint.insertSentRow(database)
    await proxy.set('away')
    await start()
    expect(await get('/healthz')).toMatchObject({ status: 200 })
    expect(await get('/readyz')).toEqual({
      status: 503,
      text: expect.stringContaining('database is unreachable'),
    })
    const answer = await post(row)
    expect(answer).toMatchObject({ status: 503 })
    expect(endpoint.resultOf(answer)).toBe('not_recorded')

    await proxy.set('there')
    await waitFor('ready', async () => (await get('/readyz')).status === 200)
    await expectRecorded(row)
  })

  test('later: 503 until it is back, and then as before', async () => {
    const row = await endpoint.insertSentRow(database)
    await start()
    expect(await get('/readyz')).toMatchObject({ status: 200 })
    for (const _time of ['once', 'and once more']) {
      await proxy.set('away')
      expect(await get('/healthz')).toMatchObject({ status: 200 })
      expect(await get('/readyz')).toMatchObject({ status: 503 })
      const answers = await Promise.all(Array.from({ length: 20 }, () => post(row)))
      expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(503))
      expect(await statusOf(row)).toBe('unknown')
      await proxy.set('there')
      await waitFor('ready', async () => (await get('/readyz')).status === 200)
    }
    await expectRecorded(row)
  })

  test('a forged callback is 403 also then', async () => {
    await start()
    await proxy.set('away')
    const fields = endpoint.undelivered(endpoint.ACCOUNT_SID, 'SM0')
    const forged = await endpoint.post(target, { path: endpoint.statusPath(1), fields, authToken: 'wrong' })
    expect(forged).toMatchObject({ status: 403 })
  })
})

describe('the database is silent: connections stay open, and no answer comes', () => {
  // Twilio waits for 15 seconds. How long it is here is not measured; that it ends at all is.
  test('a callback is answered with 503 all the same, and counts when it comes again', async () => {
    const row = await endpoint.insertSentRow(database)
    await start()
    expect(await get('/readyz')).toMatchObject({ status: 200 })
    await proxy.set('silent')
    let answer: endpoint.Answer | undefined
    const answered = post(row).then((received) => {
      answer = received
    })
    try {
      expect(await get('/healthz')).toMatchObject({ status: 200 })
      await waitFor('an answer while the database is silent', () => answer !== undefined, 30_000)
      expect(answer).toMatchObject({ status: 503 })
    } finally {
      await proxy.set('there')
      await answered
    }
    await expectRecorded(row)
  })
})

describe('PostgreSQL ends the connections', () => {
  test('that are idle: the next callback is recorded, and the process lives on', async () => {
    const row = await endpoint.insertSentRow(database)
    await start()
    expect(await get('/readyz')).toMatchObject({ status: 200 })
    await endBackends()
    await expectRecorded(row)
  })

  test('in the middle of a transaction: 503, nothing remains of it, and it counts when it comes again', async () => {
    const row = await endpoint.insertSentRow(database)
    await start()
    const holder = new pg.Client({ connectionString: database.url })
    await holder.connect()
    await holder.query('begin')
    await holder.query('select 1 from sms_usage_logs where id = $1 for update', [row.id])

    const answer = post(row)
    await waitFor('the callback to wait for the row', async () => {
      const waiting = await database.query(
        `select 1 from pg_stat_activity
          where datname = current_database() and application_name = 'sms-retry' and wait_event_type = 'Lock'`,
      )
      return waiting.length === 1
    })
    await endBackends()
    expect(await answer).toMatchObject({ status: 503 })
    await holder.query('rollback')
    await holder.end()

    expect(await statusOf(row)).toBe('unknown')
    expect(await endpoint.jobs(database)).toEqual([])
    await expectRecorded(row)
  })

  test('again and again while callbacks come: each is 204 or 503, and in the end the row is right', async () => {
    const row = await endpoint.insertSentRow(database)
    await start()
    const statuses: number[] = []
    for (let round = 0; round < 10; round += 1) {
      const answers = Promise.all(Array.from({ length: 10 }, () => post(row)))
      await endBackends()
      statuses.push(...(await answers).map(({ status }) => status))
    }
    expect(statuses.filter((status) => status !== 204 && status !== 503)).toEqual([])
    await expectRecorded(row)
  })
})

describe('the database cannot be written to', () => {
  /** What providers do whose disk is full, and what a standby is after a failover. */
  async function setReadOnly(isReadOnly: boolean): Promise<void> {
    const name = new URL(database.url).pathname.slice(1)
    await database.query(
      `begin read write; alter database ${name} set default_transaction_read_only = ${isReadOnly}; commit`,
    )
    await endBackends()
  }

  test('ready is 503 and says so, and a callback is 503; both are well when it can be again', async () => {
    const row = await endpoint.insertSentRow(database)
    await start()
    expect(await get('/readyz')).toMatchObject({ status: 200 })
    await setReadOnly(true)
    await waitFor('not ready', async () => (await get('/readyz')).text.includes('read-only'))
    expect(await get('/readyz')).toMatchObject({ status: 503 })
    expect(await post(row)).toMatchObject({ status: 503 })

    await setReadOnly(false)
    await waitFor('ready', async () => (await get('/readyz')).status === 200)
    await expectRecorded(row)
  })
})

describe('somebody takes away what was there when the process began', () => {
  beforeEach(start)

  test.each([
    ['the queue', 'drop schema sms_retry_pgboss cascade'],
    ['one queue', "delete from sms_retry_pgboss.queue where name = 'reconcile'"],
    ['the table', 'drop table sms_usage_logs'],
    ['the bookkeeping', 'drop schema sms_retry cascade'],
  ])('%s: ready is 503 with the command that helps, and 200 after it', async (_what, damage) => {
    expect(await get('/readyz')).toEqual({ status: 200, text: 'ready\n' })
    await database.query(damage)
    expect(await get('/readyz')).toEqual({ status: 503, text: expect.stringContaining('sms-retry migrate') })
    await migrate({ url: database.url, ssl: null, poolMax: 2 }, silentLogger)
    expect(await get('/readyz')).toEqual({ status: 200, text: 'ready\n' })
    await expectRecorded(await endpoint.insertSentRow(database))
  })

  test('a statement that the database refuses: ready is 503 with the command that finds out why', async () => {
    await database.query('alter table sms_retry.migrations rename column name to other')
    expect(await get('/readyz')).toEqual({ status: 503, text: expect.stringContaining('sms-retry doctor') })
  })
})

describe('the database is not migrated', () => {
  beforeEach(async () => {
    await proxy.close()
    await database.drop()
    database = await createTestDatabase(null)
    proxy = await startDatabaseProxy(database.url, await freePort())
    await start()
  })

  test('ready is 503 with the command that helps, and a callback is 503; after it, both are well', async () => {
    expect(await get('/healthz')).toMatchObject({ status: 200 })
    expect(await get('/readyz')).toEqual({ status: 503, text: expect.stringContaining('sms-retry migrate') })
    expect(await post({ id: 1, sid: `SM${'0'.repeat(32)}` })).toMatchObject({ status: 503 })

    await migrate({ url: database.url, ssl: null, poolMax: 2 }, silentLogger)
    expect(await get('/readyz')).toEqual({ status: 200, text: 'ready\n' })
    await expectRecorded(await endpoint.insertSentRow(database))
  })

  test.each([
    ['the queue is missing', 'drop schema sms_retry_pgboss cascade'],
    ['the bookkeeping is missing', 'drop schema sms_retry cascade'],
    ['one migration was not applied', "delete from sms_retry.migrations where name like '005%'"],
  ])('half: %s', async (_what, damage) => {
    await migrate({ url: database.url, ssl: null, poolMax: 2 }, silentLogger)
    await database.query(damage)
    expect(await get('/readyz')).toEqual({ status: 503, text: expect.stringContaining('sms-retry migrate') })
  })
})
