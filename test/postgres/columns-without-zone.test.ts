// The whole main path on a database whose owner has added the five columns as `timestamp`, without a zone, and
// whose sessions do not run in UTC by default. Times have to be right all the same.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import pg from 'pg'
import { recordEvents } from '../../src/recording/record-events.ts'
import { migrate } from '../../src/processes/migrate.ts'
import { startQueue } from '../../src/jobs/queue.ts'
import { openRuntime } from '../../src/processes/runtime.ts'
import { openSender, type Sender } from '../../src/processes/sender.ts'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { simulatedEnvironment } from '../../src/simulator/environment.ts'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { startWeb } from '../../src/http/web.ts'
import { runWorker } from '../../src/processes/worker.ts'
import { newSid } from '../support/callbacks.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startCli } from '../support/process.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { waitFor } from '../support/wait-for.ts'
import { COLUMNS_WITHOUT_ZONE, configOf, ORIGINAL_ROWS, ORIGINAL_TABLE } from '../db/original-table.ts'

/** Between an outcome and a report of it may lie the time that a busy machine takes, and never a time zone. */
const LESS_THAN_A_ZONE_MS = 20 * 60_000
const ZONE = 'America/New_York'

let database: TestDatabase
let sender: Sender
let env: Record<string, string>
const stops: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  database = await createTestDatabase(null)
  stops.push(() => database.drop())
  await database.query(`alter database ${new URL(database.url).pathname.slice(1)} set timezone = '${ZONE}'`)
  // The test's own connections were there before; only new ones have the setting.
  await database.query(`set time zone '${ZONE}'`)
  for (const statement of [ORIGINAL_TABLE, COLUMNS_WITHOUT_ZONE, ORIGINAL_ROWS])
    await database.query(statement)
  await migrate(configOf(database), silentLogger)

  const simulator = await startSimulator({ callbackDelayMs: 10 })
  const port = await freePort()
  env = simulatedEnvironment(simulator, { databaseUrl: database.url, port, delayScale: 0.001 })
  const web = await startWeb(openWith())
  sender = await openSender(openWith())
  const worker = await runWorker(openWith())
  stops.push(
    () => web.stop(),
    () => simulator.close(),
    () => sender.close(),
    () => worker.stop(),
  )
})

afterAll(async () => {
  for (const stop of stops.toReversed()) await stop()
})

const openWith = (overrides: Record<string, string> = {}) =>
  openRuntime({ logger: silentLogger, retryPolicy: { jitter: 0 } }, { ...env, ...overrides }, [
    'DATABASE_URL',
  ])

/** Text, so that no driver reads a zone into it. */
async function rowOf(id: number) {
  const [row] = await database.query<{
    status: string
    retryCount: number
    createdAt: string
    nextRetryAt: string | null
    attempts: { number: number; status: string; times: Record<string, string> }[]
  }>(
    `select final_status as "status", retry_count as "retryCount", created_at::text as "createdAt",
            next_retry_at::text as "nextRetryAt", sms_metadata -> 'attempts' as "attempts"
       from sms_usage_logs where id = $1`,
    [id],
  )
  return row
}

const asUtc = (text: string): number => Date.parse(`${text.replace(' ', 'T')}Z`)

/** The distance of a time from now, by the database's clock, is less than any zone's offset. */
async function expectNow(ms: number): Promise<void> {
  const [clock] = await database.query<{ ms: number }>(
    'select (extract(epoch from clock_timestamp()) * 1000)::float8 as "ms"',
  )
  expect(Math.abs(ms - (clock?.ms ?? Number.NaN))).toBeLessThan(LESS_THAN_A_ZONE_MS)
}

test('the database is what it is meant to be: not in UTC, and without a zone in its columns', async () => {
  const fresh = new pg.Client({ connectionString: database.url })
  await fresh.connect()
  const { rows } = await fresh.query('show timezone')
  await fresh.end()
  expect(rows).toEqual([{ TimeZone: ZONE }])
  const types = await database.query<{ type: string }>(
    `select distinct data_type as "type" from information_schema.columns
      where table_name = 'sms_usage_logs' and data_type like 'timestamp%'`,
  )
  expect(types).toEqual([{ type: 'timestamp without time zone' }])
})

test('a message that fails twice gets through, and every time in its row is UTC', async () => {
  const { id } = await sender.send({ userId: 1, to: '+15553000302', body: 'Hello' })
  const row = await waitFor('delivered', async () => {
    const found = await rowOf(id)
    return found?.status === 'delivered' && found
  })
  expect(row).toMatchObject({ retryCount: 2, nextRetryAt: null })
  await expectNow(asUtc(row.createdAt))
  for (const { times } of row.attempts) {
    for (const time of Object.values(times)) await expectNow(Date.parse(time))
  }
})

test("a message enqueued in a transaction of the app's, which runs in its own zone, gets through as well", async () => {
  const app = new pg.Client({ connectionString: database.url })
  await app.connect()
  await app.query('begin')
  const { id } = await sender.enqueue(
    { userId: 1, to: '+15553000301', body: 'Hello', validForSeconds: 3600 },
    { db: app },
  )
  await app.query('commit')
  await app.end()
  const row = await waitFor('delivered', async () => {
    const found = await rowOf(id)
    return found?.status === 'delivered' && found
  })
  await expectNow(asUtc(row.createdAt))
})

test('next_retry_at, the job and what the row is read as name one instant, to the millisecond', async () => {
  // Real delays: the job stays for us to look at.
  const runtime = openWith({ RETRY_DELAY_SCALE: '1' })
  const queue = await startQueue(runtime.database, 'schedule', silentLogger)
  stops.push(
    () => runtime.database.close(),
    () => queue.stop(1_000),
  )
  const deps = { ...runtime, queue, random: () => 0 }
  const sid = newSid()
  const [inserted] = await database.query<{ id: number }>(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content,
                                 final_status, twilio_message_sid)
     values (1, '+12065550100', 'outbound', 5, 'Hello', 'sent', $1) returning id`,
    [sid],
  )
  const target = { id: inserted?.id ?? 0 }
  const failed = {
    kind: 'report',
    attempt: 0,
    sid,
    status: 'undelivered',
    errorCode: 30003,
  } as const
  const [scheduled] = await recordEvents(deps, [{ target, event: { ...failed, errorText: null } }])
  const decision = scheduled?.known === true ? scheduled.decision : null
  if (decision?.kind !== 'schedule') throw new Error(`a retry was expected, not ${decision?.kind}`)
  await expectNow(decision.at.getTime() - 300_000)
  expect(asUtc((await rowOf(target.id))?.nextRetryAt ?? '')).toBe(decision.at.getTime())
  const jobs = await database.query<{ ms: number }>(
    `select (extract(epoch from start_after) * 1000)::float8 as "ms" from sms_retry_pgboss.job
      where (data ->> 'message')::int = $1`,
    [target.id],
  )
  expect(jobs).toEqual([{ ms: decision.at.getTime() }])

  // Five minutes early, the attempt is not made: so the time was read back as it was written.
  const [early] = await recordEvents(deps, [{ target, event: { kind: 'due', attempt: 1 } }])
  expect(early).toMatchObject({ known: true, decision: { kind: 'schedule', at: decision.at } })
})

test('a process in any zone reads the same times from the row', async () => {
  const [row] = await database.query<{ id: number }>(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content,
                                 final_status, next_retry_at, created_at)
     values (1, '+12065550100', 'outbound', 5, 'Hello', 'retrying', '2031-07-01 02:30:00.25', '2024-03-10 02:30:00')
     returning id`,
  )
  const shown = ['UTC', 'Asia/Tokyo', ZONE].map(async (TZ) => {
    const cli = startCli(['show', `${row?.id}`, '--json'], { DATABASE_URL: database.url, TZ })
    expect(await cli.ended).toBe(0)
    return JSON.parse(cli.stdout()) as object
  })
  for (const message of await Promise.all(shown)) {
    // At that hour of that day, clocks in New York are put forward: the local time does not exist.
    expect(message).toMatchObject({
      createdAt: '2024-03-10T02:30:00.000Z',
      nextRetryAt: '2031-07-01T02:30:00.250Z',
    })
  }
})
