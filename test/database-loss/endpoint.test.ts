// The endpoint while PostgreSQL restarts, while its pool is exhausted, and while statements time out: what is answered
// with 204 is recorded, what is answered with 503 is not, and comes again.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { type EmbeddedPostgres, freePort } from '../../src/demo/embedded-postgres.ts'
import { type DatabaseProxy, startDatabaseProxy } from '../http/database-proxy.ts'
import * as endpoint from '../http/endpoint.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { waitFor } from '../support/wait-for.ts'
import { closeLater, message, newWorld, rowsOf } from '../support/world-with.ts'
import { useOwnServer } from './lossy-world.ts'

let server: EmbeddedPostgres
let database: TestDatabase
let target: endpoint.Endpoint

beforeAll(async () => {
  server = await useOwnServer()
})

afterAll(() => server.stop())

beforeEach(async () => {
  database = await createTestDatabase()
  closeLater(() => database.drop())
})

async function start(env: Record<string, string> = {}, url = database.url): Promise<void> {
  target = await endpoint.startEndpoint(url, env)
  closeLater(() => target.stop())
  await waitFor('ready', async () => (await get('/readyz')) === 200)
}

async function get(path: string): Promise<number> {
  return (await fetch(target.url + path)).status
}

async function post(row: endpoint.ForeignRow): Promise<number> {
  const fields = endpoint.undelivered(endpoint.ACCOUNT_SID, row.sid)
  return (await endpoint.post(target, { path: endpoint.statusPath(row.id), fields })).status
}

async function insertRows(count: number): Promise<endpoint.ForeignRow[]> {
  const rows: endpoint.ForeignRow[] = []
  while (rows.length < count) rows.push(await endpoint.insertSentRow(database))
  return rows
}

/** Those whose failure and retry are recorded: the row, and its one job. */
async function recordedIds(): Promise<number[]> {
  const rows = await database.query<{ id: number }>(
    `select id from sms_usage_logs where final_status = 'retrying' and retry_count = 1 order by id`,
  )
  const jobs = await endpoint.jobs(database)
  const ids = rows.map(({ id }) => id)
  expect(jobs.map(({ data }) => data.message).sort((a, b) => a - b)).toEqual(ids)
  return ids
}

async function expectRecordedInTheEnd(rows: readonly endpoint.ForeignRow[]): Promise<void> {
  for (const row of rows) expect(await post(row)).toBe(204)
  expect(await recordedIds()).toEqual(rows.map(({ id }) => id))
}

/** Locks the row until the function that is returned is called. */
async function hold({ id }: endpoint.ForeignRow): Promise<() => Promise<void>> {
  const holder = new pg.Client({ connectionString: database.url })
  await holder.connect()
  await holder.query('begin')
  await holder.query('select 1 from sms_usage_logs where id = $1 for update', [id])
  return async () => {
    await holder.query('rollback')
    await holder.end()
  }
}

async function untilWaitingForLock(): Promise<void> {
  await waitFor('a statement to wait for the row', async () => {
    const waiting = await database.query(
      `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    )
    return waiting.length > 0
  })
}

describe('the database is lost while callbacks come', () => {
  const losses: [string, (proxy: DatabaseProxy) => Promise<void>, number[]][] = [
    ['PostgreSQL is restarted in good order', () => server.restart('shutdown'), []],
    ['PostgreSQL crashes', () => server.restart('crash'), []],
    [
      // Longer than a callback is held.
      'it is away for four seconds',
      async (proxy) => {
        await proxy.set('away')
        await sleep(4_000)
        await proxy.set('there')
      },
      [204, 503],
    ],
  ]
  test.each(
    losses,
  )('%s: 204 is recorded, 503 is not, and nothing else is answered', async (_what, lose, seen) => {
    const rows = await insertRows(60)
    const proxy = await startDatabaseProxy(database.url, await freePort())
    closeLater(() => proxy.close())
    await start({}, proxy.url)
    const posted: Promise<{ id: number; status: number }>[] = []
    let losing: Promise<void> | undefined
    const underWay = new Set<number>()
    for (const row of rows) {
      posted.push(post(row).then((status) => ({ id: row.id, status })))
      // A few in one go, spread over the loss.
      if (posted.length % 6 === 0) await sleep(50)
      if (posted.length === 2) await Promise.all(posted)
      if (losing === undefined) underWay.add(row.id)
      if (posted.length === 12) losing = lose(proxy)
    }
    const answers = await Promise.all(posted)
    await losing
    const statuses = new Set(answers.map(({ status }) => status))
    expect([204, 503]).toEqual(expect.arrayContaining([...statuses]))
    expect([...statuses]).toEqual(expect.arrayContaining(seen))
    const recorded = await recordedIds()
    for (const { id, status } of answers) {
      if (status === 204) expect(recorded).toContain(id)
      // If the answer to a commit was lost, and could not be had later, it is recorded all the same.
      else if (!underWay.has(id)) expect(recorded).not.toContain(id)
    }
    await expectRecordedInTheEnd(rows)
  })

  test('those that Twilio sends are all recorded, by sending again what met a 503', async () => {
    const world = await newWorld({ simulator: { callbackDelayMs: 400 } })
    const bodies = Array.from({ length: 30 }, (_, i) => `Text ${i}`)
    for (const body of bodies) await world.sender.send(message({ body }))
    for (const how of ['shutdown', 'crash'] as const) await server.restart(how)
    await world.simulator.idle()
    // No worker asks Twilio: what is known is known by callbacks.
    expect(new Set((await rowsOf(world)).map((row) => row.final_status))).toEqual(new Set(['delivered']))
    expect(new Set(world.simulator.callbacks().map((callback) => callback.answer_status))).toEqual(
      new Set([204]),
    )
  })
})

describe('a row is locked by somebody else, and the pool has one connection', () => {
  test('for a second: callbacks of that row and of others are recorded when the lock is gone', async () => {
    const [locked, other] = (await insertRows(2)) as [endpoint.ForeignRow, endpoint.ForeignRow]
    await start({ DATABASE_POOL_MAX: '1' })
    const release = await hold(locked)
    const answers = [post(locked), post(other)]
    await untilWaitingForLock()
    expect(await get('/healthz')).toBe(200)
    await sleep(1_000)
    expect(await recordedIds()).not.toContain(locked.id)
    await release()
    expect(await Promise.all(answers)).toEqual([204, 204])
    expect(await recordedIds()).toEqual([locked.id, other.id])
  })

  test('for longer than Twilio waits: 503, and they are recorded when the lock is gone', async () => {
    const [locked, other] = (await insertRows(2)) as [endpoint.ForeignRow, endpoint.ForeignRow]
    await start({ DATABASE_POOL_MAX: '1' })
    const release = await hold(locked)
    const answers = Promise.all([post(locked), post(other)])
    await untilWaitingForLock()
    const [first, second] = await answers
    expect(first).toBe(503)
    expect([204, 503]).toContain(second)
    expect(await recordedIds()).toEqual(second === 204 ? [other.id] : [])
    await release()
    await expectRecordedInTheEnd([locked, other])
    expect(await get('/readyz')).toBe(200)
  })
})

test('statements time out: 503, nothing is recorded, and it is when the lock is gone', async () => {
  const rows = await insertRows(1)
  const { pathname } = new URL(database.url)
  await database.query(`alter database ${pathname.slice(1)} set statement_timeout = '300ms'`)
  await start()
  const [row] = rows as [endpoint.ForeignRow]
  const release = await hold(row)
  const before = await endpoint.fingerprint(database)
  expect(await post(row)).toBe(503)
  expect(await endpoint.fingerprint(database)).toEqual(before)
  await release()
  await expectRecordedInTheEnd(rows)
})
