// pg's parsers belong to the whole process, and many apps replace some of them: times, JSON or numbers as text. Our
// results must be the same in such an app; here with a table whose integers are all bigint, on a database whose DateStyle
// is German.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { isDeepStrictEqual } from 'node:util'
import pg from 'pg'
import { nextDueMs } from '../../src/db/next-due-retry.ts'
import { findOverdue, readClock } from '../../src/db/overdue.ts'
import type { Database } from '../../src/postgres/pool.ts'
import { CREDENTIALS, get } from '../http/dashboard/operator.ts'
import { waitFor } from '../support/wait-for.ts'
import { type LogLine, startWorld, type World } from '../support/world.ts'

const { builtins, getTypeParser, setTypeParser } = pg.types
const asText = (text: string): string => text
const SET_BY_THE_APP: [oid: number, parse: (text: string) => unknown][] = [
  [builtins.BOOL, asText],
  [builtins.INT4, asText],
  [builtins.INT8, BigInt],
  [builtins.FLOAT8, asText],
  [builtins.JSON, asText],
  [builtins.JSONB, asText],
  [builtins.TIMESTAMP, asText],
  [builtins.TIMESTAMPTZ, asText],
]
const DEFAULTS = SET_BY_THE_APP.map(([oid]): [number, (text: string) => unknown] => [oid, getTypeParser(oid)])
const setParsers = (parsers: typeof SET_BY_THE_APP): void => {
  for (const [oid, parse] of parsers) setTypeParser(oid, parse)
}

let world: World
let ours: Database

beforeAll(async () => {
  world = await startWorld({
    env: { SEND_RATE_PER_SECOND: '1000', ...CREDENTIALS },
    databaseUrl: async (database) => {
      const name = new URL(database.url).pathname.slice(1)
      await database.query(`alter database ${name} set datestyle = 'German'`)
      const bigints = ['id', 'user_id', 'message_length', 'retry_count', 'max_retries', 'processing_time_ms']
      await database.query(
        `alter table sms_usage_logs ${bigints.map((column) => `alter column ${column} type bigint`).join(', ')}`,
      )
      setParsers(SET_BY_THE_APP)
      return database.url
    },
  })
  ours = world.openRuntime().database
  await world.startWorker()
})

afterAll(async () => {
  await ours.close()
  await world.stop()
  setParsers(DEFAULTS)
})

const untilDelivered = (id: number): Promise<unknown> =>
  waitFor('delivered', async () => {
    const [row] = await world.database.query<{ status: string }>(
      'select final_status as "status" from sms_usage_logs where id = $1',
      [id],
    )
    return row?.status === 'delivered'
  })

const complaints = (): LogLine[] => world.log.filter(({ level }) => level === 'warn' || level === 'error')

test('a message that fails twice is delivered, whether it was sent or enqueued', async () => {
  const message = { userId: 1, to: '+15553000302', body: 'Hello', idempotencyKey: 'one' }
  const { id } = await world.sender.send(message)
  expect(id).toBe(1)
  expect(await world.sender.send(message)).toMatchObject({ id })
  await untilDelivered(id)
  const app = new pg.Client({ connectionString: world.database.url })
  await app.connect()
  await app.query('begin')
  const another = { ...message, idempotencyKey: 'another' }
  const enqueued = await world.sender.enqueue(another, { db: app })
  expect(await world.sender.enqueue(another, { db: app })).toEqual({ id: enqueued.id, created: false })
  await app.query('commit')
  await app.end()
  expect(enqueued.id).toEqual(expect.any(Number))
  await untilDelivered(enqueued.id)
  const [row] = await world.database.query<{ attempts: string }>(
    `select sms_metadata #>> '{attempts}' as "attempts" from sms_usage_logs where id = $1`,
    [id],
  )
  expect(JSON.parse(row?.attempts ?? '')).toMatchObject([
    { number: 0, status: 'undelivered' },
    { number: 1, status: 'undelivered' },
    { number: 2, status: 'delivered' },
  ])
  expect(complaints()).toEqual([])
})

test('overdue messages and the time until the next retry are found', async () => {
  expect(await readClock(ours)).toBeInstanceOf(Date)
  // In a transaction, so that the worker's sweep does not see the rows.
  const [[overdue], dueMs] = await ours.transaction(async (tx) => {
    await tx.executeSql(
      `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content, success,
                                   final_status, twilio_message_sid, retry_count, next_retry_at, sms_metadata)
       values (1, '+12065550100', 'outbound', 5, 'Hello', true, 'sent', 'SM1', 0, '2026-01-01 12:00:00.5', '{"attempts": [
         {"number": 0, "status": "sent", "times": {"sent": "2026-01-01T11:00:00.000Z"}}]}'),
              (2, '+12065550100', 'outbound', 5, 'Hello', false, 'retrying', null, 1, '9999-01-01', '{"reconcile_at": "9998-01-01T00:00:00.000Z"}')`,
    )
    const found = await Promise.all([findOverdue(tx, 1), nextDueMs(tx)])
    await tx.executeSql('delete from sms_usage_logs where next_retry_at is not null')
    return found
  })
  expect(overdue).toEqual({
    now: expect.any(Date),
    message: expect.objectContaining({
      success: true,
      retryCount: 0,
      nextRetryAt: new Date('2026-01-01T12:00:00.500Z'),
      attempts: [expect.objectContaining({ number: 0, times: { sent: '2026-01-01T11:00:00.000Z' } })],
    }),
  })
  expect(dueMs).toEqual(expect.any(Number))
})

test.each([
  '/',
  '/error-codes',
  '/messages',
  '/messages/1',
  '/queue',
])('the dashboard page %s looks the same as in any other process', async (path) => {
  const pageOf = async (): Promise<[number, string]> => {
    const { status, text } = await get(world.web, path)
    return [status, text]
  }
  // Some of what a page says changes with the clock.
  const page = await waitFor('the same page', async () => {
    const ofTheApp = await pageOf()
    setParsers(DEFAULTS)
    const ofPg = await pageOf()
    setParsers(SET_BY_THE_APP)
    return isDeepStrictEqual(ofTheApp, ofPg) && ofTheApp
  })
  expect(page).toEqual([200, expect.stringContaining('</html>')])
})

test.each([
  ['2026-11-29 12:00:00.123456', 'UTC', new Date('2026-11-29T12:00:00.123Z')],
  ['2026-11-29 12:00:00', 'Asia/Kolkata', new Date('2026-11-29T12:00:00Z')],
  ['2026-11-29 12:00:00', 'America/New_York', new Date('2026-11-29T12:00:00Z')],
  ['9999-12-31 00:00:00', 'UTC', new Date('9999-12-31T00:00:00Z')],
  ['10000-01-01 00:00:00', 'UTC', Infinity],
  ['0044-03-15 00:00:00 BC', 'UTC', -Infinity],
  ['infinity', 'UTC', Infinity],
  ['-infinity', 'UTC', -Infinity],
])('%s in UTC, read in a session in %s, is the same with and without a zone', async (time, zone, expected) => {
  const found = await ours.transaction(async (tx) => {
    await tx.executeSql(`set local time zone '${zone}'`)
    return tx.executeSql(
      `select '${time}'::timestamp as "without", '${time}'::timestamp at time zone 'UTC' as "with"`,
    )
  })
  expect(found.rows).toEqual([{ without: expected, with: expected }])
})
