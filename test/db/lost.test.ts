// Lost messages by code and time, and the counts of the overview that are kept between calls.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { countLost, type Lost, sumBy } from '../../src/db/lost.ts'
import { countMessagesByTime, KEPT_SECONDS, type KeptCounts } from '../../src/db/overview.ts'
import { readCodeFigures, readFailedAttempts } from '../../src/db/failed-attempts.ts'
import type { Database } from '../../src/postgres/pool.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { open } from './original-table.ts'

const DAY = { seconds: 86_400, bucketSeconds: 3_600 }
const MONTH = { seconds: 30 * 86_400, bucketSeconds: 86_400 }

let own: TestDatabase
let database: Database

beforeAll(async () => {
  own = await createTestDatabase()
  database = open(own)
})

afterAll(async () => {
  await database.close()
  await own.drop()
})

async function withRows<T>(metadata: readonly string[], more: string, run: () => Promise<T>): Promise<T> {
  await own.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status, success, created_at, sms_metadata)
     select 1, '+12065550100', 'outbound', 0, 'failed', false, ${more}, metadata
       from unnest($1::jsonb[]) as metadata`,
    [metadata],
  )
  try {
    return await run()
  } finally {
    await own.query('delete from sms_usage_logs')
  }
}

const codesOf = ({ groups }: Lost): unknown[] =>
  [...sumBy(groups, ({ code }) => code)].toSorted(([one], [other]) => (one ?? 0) - (other ?? 0))

const NOW = `now() at time zone 'UTC'`

test('a message counts for the latest of its codes, also if a later attempt has none', async () => {
  const metadata = [
    '{"attempts": [{"error_code": 1}, {"error_code": 2}]}',
    '{"attempts": [{"error_code": 3}, {"status": "failed"}]}',
    '{"attempts": [{"error_code": 4}, {"error_code": null}, {"error_code": "x"}]}',
    '{"attempts": [{"status": "failed"}]}',
  ]
  expect(codesOf(await withRows(metadata, NOW, () => countLost(database, DAY)))).toEqual([
    [null, 1],
    [2, 1],
    [3, 1],
    [4, 1],
  ])
})

test('invalid values under our keys do not break the counts', async () => {
  const metadata = [
    ...['null', '[1]', '{}', '{"attempts": "none"}', '{"attempts": {"error_code": 5}}', '{"attempts": []}'],
    ...['{"attempts": [null, 1, [], {"error_code": 99999999999}]}', '{"attempts": [{"error_code": 1e99}]}'],
    '{"attempts": [{"status": "failed", "error_code": -1}, {"number": 1, "status": 7, "segments": 1e99, "times": 3}]}',
    '{"attempts": [{"status": "failed", "error_code": 6}, {"number": 1, "status": "failed", "segments": "two"}]}',
  ]
  await withRows(metadata, NOW, async () => {
    expect(codesOf(await countLost(database, DAY))).toEqual([
      [null, 9],
      [6, 1],
    ])
    const { codes } = await readCodeFigures(database, DAY.seconds)
    expect(codes.find(({ code }) => code === 6)).toEqual({
      ...{ code: 6, attempts: 1, messages: 1, recovered: 0, retries: 1, segments: 0, segmentsUnknown: 1 },
    })
    const { attempts } = await readFailedAttempts(database, 6, DAY.seconds)
    expect(attempts).toMatchObject([
      { prefix: '+120', failedAt: null, retry: { number: 1, claimedAt: null } },
    ])
  })
})

test('the attempts of one code have the figures of that code, also of a message with many retries or odd entries', async () => {
  const failed = (number: number, code?: number): object => ({ number, status: 'failed', error_code: code })
  const metadata = [
    [failed(0, 7), { status: 'delivered', segments: 2 }],
    [failed(0, 7), { number: 1 }],
    [failed(0, 7), { number: 1, status: 'pending' }],
    [failed(0, 7), { number: 'one', status: 'failed', error_code: 7 }, 'x'],
    // A person retried 40 times. The last retry is the only one that failed with code 8.
    [...Array.from({ length: 40 }, (_, number) => failed(number, 7)), failed(40, 8)],
  ].map((attempts) => JSON.stringify({ attempts }))
  await withRows(metadata, NOW, async () => {
    const { codes } = await readCodeFigures(database, DAY.seconds)
    for (const code of [7, 8]) {
      const { attempts, isComplete } = await readFailedAttempts(database, code, DAY.seconds)
      const retries = attempts.flatMap(({ retry }) => retry ?? [])
      expect(isComplete).toBe(true)
      expect({
        ...{
          code,
          attempts: attempts.length,
          messages: new Set(attempts.map(({ id }) => id)).size,
          recovered: 0,
        },
        retries: retries.length,
        segments: retries.reduce((sum, { segments }) => sum + (segments ?? 0), 0),
        segmentsUnknown: retries.filter(({ segments }) => segments === null).length,
      }).toEqual(codes.find((each) => each.code === code))
    }
  })
})

test('messages are counted in this span or in the one before, by their part', async () => {
  const metadata = ['{"attempts": [{"error_code": 30003}]}']
  await withRows(metadata, `${NOW} - interval '30 h'`, async () => {
    expect((await countLost(database, DAY)).groups).toEqual([])
    const [group] = (await countLost(database, DAY, 'before')).groups
    expect(group).toMatchObject({ code: 30003, isExpired: false, messages: 1 })
    const start = Date.now() / 1000 - 30 * 3_600
    expect(Math.abs((group?.part ?? 0) - Math.floor(start / 3_600))).toBeLessThanOrEqual(1)
    expect((await countLost(database, { ...DAY, seconds: 86_400 * 3 })).groups).toHaveLength(1)
  })
})

test('a lost message with a future or infinite time counts as of now', async () => {
  for (const time of ['infinity', '2038-01-20', '9999-12-31']) {
    const [group] = (await withRows(['{}'], `'${time}'::timestamp`, () => countLost(database, DAY))).groups
    expect(Math.abs((group?.part ?? 0) - Math.floor(Date.now() / 3_600_000))).toBeLessThanOrEqual(1)
  }
})

test('counts of days that ended more than a day ago are kept for ten minutes', async () => {
  const kept: KeptCounts = new Map()
  const messages = async (): Promise<number> =>
    (await countMessagesByTime(database, MONTH, kept)).whole.messages
  await withRows(['{}', '{}'], `${NOW} - interval '10 days'`, async () => {
    expect(await messages()).toBe(2)
    await own.query(
      `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status, created_at)
       select 2, '+12065550100', 'outbound', 0, 'delivered', ${NOW} - days * interval '1 day' from unnest('{0,10}'::integer[]) as days`,
    )
    // That of today is counted, the one of ten days ago not yet.
    expect(await messages()).toBe(3)
    expect((await countMessagesByTime(database, MONTH)).whole.messages).toBe(4)
    for (const [key, { groups, readAtMs }] of kept)
      kept.set(key, { groups, readAtMs: readAtMs - KEPT_SECONDS * 1_100 })
    expect(await messages()).toBe(4)
  })
})

test('kept counts of parts that no range shows any longer are dropped', async () => {
  const kept: KeptCounts = new Map([['86400 0', { groups: [], readAtMs: 0 }]])
  await countMessagesByTime(database, MONTH, kept)
  expect(kept.has('86400 0')).toBe(false)
  expect(kept.size).toBeLessThan(31)
})
