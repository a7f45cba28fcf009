// Tests which worker watches for the next due retry, and when that retry is due, by the database's clock.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { nextDueMs, takeWatch } from '../../src/db/next-due-retry.ts'
import type { Database, Db } from '../../src/postgres/pool.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { open } from './original-table.ts'

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

beforeEach(async () => {
  await own.query('truncate sms_usage_logs, sms_retry.due_watch')
})

describe('the watch for due retries', () => {
  const SECONDS = 600
  const [one, other] = [randomUUID(), randomUUID()]
  const take = (holder: string): Promise<boolean> => takeWatch(database, holder, SECONDS)

  const holdUntil = (time: string): Promise<unknown> =>
    own.query(`update sms_retry.due_watch set held_until = ${time}`)

  async function holders(): Promise<{ holder: string; isHeld: boolean }[]> {
    return own.query(`select holder, held_until > now() as "isHeld" from sms_retry.due_watch`)
  }

  test('belongs to the first worker that takes it', async () => {
    expect([await take(one), await take(other), await take(one), await take(other)]).toEqual([
      true,
      false,
      true,
      false,
    ])
    expect(await holders()).toEqual([{ holder: one, isHeld: true }])
  })

  test('belongs to one of twenty workers that take it at once', async () => {
    const all = Array.from({ length: 20 }, () => randomUUID())
    const taken = await Promise.all(all.map(take))
    expect(taken.filter(Boolean)).toHaveLength(1)
    expect(await holders()).toEqual([{ holder: all[taken.indexOf(true)], isHeld: true }])
  })

  test('is extended each time its holder takes it', async () => {
    await take(one)
    await holdUntil(`now() + interval '1 second'`)
    expect(await take(one)).toBe(true)
    const [row] = await own.query(
      `select held_until > now() + interval '${SECONDS - 60} seconds' as "isLonger" from sms_retry.due_watch`,
    )
    expect(row).toEqual({ isLonger: true })
  })

  test('is taken over after it expires, and not returned to the previous holder', async () => {
    await take(one)
    await holdUntil(`now() - interval '1 millisecond'`)
    expect([await take(other), await take(one)]).toEqual([true, false])
    expect(await holders()).toEqual([{ holder: other, isHeld: true }])
  })

  test('is not taken over before it expires', async () => {
    await take(one)
    await holdUntil(`now() + interval '1 minute'`)
    expect(await take(other)).toBe(false)
    expect(await holders()).toEqual([{ holder: one, isHeld: true }])
  })

  test("is taken over if it expires too far in the future, because the database's clock was set back", async () => {
    await take(one)
    await holdUntil(`now() + interval '1 day'`)
    expect([await take(other), await take(one)]).toEqual([true, false])
    expect(await holders()).toEqual([{ holder: other, isHeld: true }])
  })
})

/** One failed message for each of these times; null for no time. */
async function insertFailed(...times: (string | null)[]): Promise<void> {
  for (const time of times) await insert(time, false)
}

function insert(time: string | null, success: boolean | null): Promise<unknown> {
  return own.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, success, next_retry_at)
     values (1, '+12065550100', 'outbound', 5, $1, ${time === null ? 'null' : `now() + interval '${time}'`})`,
    [success],
  )
}

describe('the next due retry', () => {
  const MINUTE_MS = 60_000

  test('is null if nothing waits', async () => {
    expect(await nextDueMs(database)).toBeNull()
  })

  test('is the first one that is not due yet', async () => {
    await insertFailed('3 hours', '1 hour', '2 hours')
    const ms = await nextDueMs(database)
    // At most a minute has passed between the two statements.
    expect(ms).toBeGreaterThan(59 * MINUTE_MS)
    expect(ms).toBeLessThanOrEqual(60 * MINUTE_MS)
  })

  test('is null for messages that failed for good, did not fail, or are overdue', async () => {
    await insertFailed(null, '-1 hour', '-1 day')
    await insert('1 minute', true)
    await insert('1 minute', null)
    expect(await nextDueMs(database)).toBeNull()
    await insertFailed('1 hour')
    expect(await nextDueMs(database)).toBeGreaterThan(59 * MINUTE_MS)
  })

  test('includes one that is due now, or became due just before', async () => {
    await insertFailed('1 hour')
    // Within a transaction, now() does not change.
    const [now, before, tooLong] = await database.transaction(async (tx) => {
      const change = (time: string): Promise<unknown> =>
        tx.executeSql(`update sms_usage_logs set next_retry_at = now() ${time}`)
      await change('')
      const atOnce = await nextDueMs(tx)
      await change(`- interval '50 milliseconds'`)
      const justBefore = await nextDueMs(tx)
      await change(`- interval '1 second'`)
      return [atOnce, justBefore, await nextDueMs(tx)]
    })
    expect([now, before, tooLong]).toEqual([0, -50, null])
  })

  test('has a precision below a millisecond', async () => {
    await insertFailed('1 hour')
    const ms = await database.transaction(async (tx) => {
      await tx.executeSql(
        `update sms_usage_logs set next_retry_at = now() + interval '1234.567 milliseconds'`,
      )
      return nextDueMs(tx)
    })
    expect(ms).toBeCloseTo(1234.567, 6)
  })
})

test('the next due retry is read from one index entry, however large the table is', async () => {
  // A tenth is deferred, a tenth is overdue, and a tenth failed for good.
  await own.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, success, next_retry_at)
     select 1, '+12065550100', 'outbound', 5, n % 10 > 2,
            case n % 10 when 0 then now() + interval '1 hour' + make_interval(secs => n)
                        when 1 then now() - interval '1 hour' - make_interval(secs => n) end
       from generate_series(1, 100000) n`,
  )
  await own.query('vacuum analyze sms_usage_logs')
  let statement = ''
  const recorder: Db = {
    async executeSql(text) {
      statement = text
      return { rows: [] }
    },
  }
  await nextDueMs(recorder)
  const [row] = await own.query<{ 'QUERY PLAN': [{ Plan: { Plans: object[] } }] }>(
    `explain (analyze, format json) ${statement}`,
  )
  expect(row?.['QUERY PLAN'][0].Plan).toMatchObject({ 'Node Type': 'Limit', 'Actual Rows': 1 })
  expect(row?.['QUERY PLAN'][0].Plan.Plans).toMatchObject([
    { 'Index Name': 'idx_sms_usage_logs_retry', 'Actual Rows': 1 },
  ])
  expect(row?.['QUERY PLAN'][0].Plan.Plans[0]).not.toHaveProperty('Rows Removed by Filter')
})
