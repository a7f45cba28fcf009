// The web process while its database is unreachable, unresponsive, interrupted, read-only or not migrated: it reports the
// problem, keeps answering, and recovers without a restart.
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

/** The callback is recorded once, however often it was refused before. */
async function expectRecorded(row: endpoint.ForeignRow): Promise<void> {
  await waitFor('the callback to be recorded', async () => (await post(row)).status === 204)
  expect(await post(row)).toMatchObject({ status: 204 })
  expect(await statusOf(row)).toBe('retrying')
  expect(await endpoint.jobs(database)).toEqual([{ data: { message: row.id, attempt: 1 } }])
}

async function statusOf({ id }: endpoint.ForeignRow): Promise<unknown> {
  const [row] = await database.query('select final_status from sms_usage_logs where id = $1', [id])
  return row?.['final_status']
}

/** Closes every connection of the web process, as a restart of PostgreSQL does. */
function endBackends(): Promise<unknown> {
  return database.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name = 'sms-retry'`,
  )
}

describe('while the database is unreachable', () => {
  test('the web process starts, and becomes ready once the database is back', async () => {
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

  test('callbacks and readiness are answered 503 during each of two outages', async () => {
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

  test('a forged callback is still answered 403', async () => {
    await start()
    await proxy.set('away')
    const fields = endpoint.undelivered(endpoint.ACCOUNT_SID, 'SM0')
    const forged = await endpoint.post(target, { path: endpoint.statusPath(1), fields, authToken: 'wrong' })
    expect(forged).toMatchObject({ status: 403 })
  })
})

describe('while the database is unresponsive: connections stay open, but no answer arrives', () => {
  // Twilio waits for 15 s. This test only checks that an answer arrives, not when.
  test('a callback is answered 503, and recorded when Twilio repeats it', async () => {
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
      await waitFor('an answer while the database is unresponsive', () => answer !== undefined)
      expect(answer).toMatchObject({ status: 503 })
    } finally {
      await proxy.set('there')
      await answered
    }
    await expectRecorded(row)
  })
})

describe('when PostgreSQL closes the connections', () => {
  test('idle ones: the web process survives and records the next callback', async () => {
    const row = await endpoint.insertSentRow(database)
    await start()
    expect(await get('/readyz')).toMatchObject({ status: 200 })
    await endBackends()
    await expectRecorded(row)
  })

  test('during a transaction: the callback is answered 503, nothing is written, and a repeat is recorded', async () => {
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

  test('repeatedly under load: each callback is answered 204 or 503, and the row ends up correct', async () => {
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

describe('while the database is read-only', () => {
  /** Providers do this when the disk is full; a standby after a failover is read-only as well. */
  async function setReadOnly(isReadOnly: boolean): Promise<void> {
    const name = new URL(database.url).pathname.slice(1)
    await database.query(
      `begin read write; alter database ${name} set default_transaction_read_only = ${isReadOnly}; commit`,
    )
    await endBackends()
  }

  test('readiness and callbacks are answered 503, and both recover once it is writable', async () => {
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

describe('when parts of the schema disappear from a running process', () => {
  beforeEach(start)

  test.each([
    ['the queue', 'drop schema sms_retry_pgboss cascade'],
    ['one queue', "delete from sms_retry_pgboss.queue where name = 'reconcile'"],
    ['the table', 'drop table sms_usage_logs'],
    ['the bookkeeping', 'drop schema sms_retry cascade'],
  ])('%s: readiness is 503 and names sms-retry migrate, and 200 after that command', async (_what, damage) => {
    expect(await get('/readyz')).toEqual({ status: 200, text: 'ready\n' })
    await database.query(damage)
    expect(await get('/readyz')).toEqual({ status: 503, text: expect.stringContaining('sms-retry migrate') })
    await migrate({ url: database.url, ssl: null, poolMax: 2 }, silentLogger)
    expect(await get('/readyz')).toEqual({ status: 200, text: 'ready\n' })
    await expectRecorded(await endpoint.insertSentRow(database))
  })

  test('a failing statement: readiness is 503 and names sms-retry doctor', async () => {
    await database.query('alter table sms_retry.migrations rename column name to other')
    expect(await get('/readyz')).toEqual({ status: 503, text: expect.stringContaining('sms-retry doctor') })
  })
})

test('while the database is not migrated, readiness and callbacks are answered 503, and both recover after sms-retry migrate', async () => {
  await proxy.close()
  await database.drop()
  database = await createTestDatabase(null)
  proxy = await startDatabaseProxy(database.url, await freePort())
  await start()
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
])('while the database is migrated partly, %s: readiness is 503 and names sms-retry migrate', async (_what, damage) => {
  await database.query(damage)
  await start()
  expect(await get('/readyz')).toEqual({ status: 503, text: expect.stringContaining('sms-retry migrate') })
})
