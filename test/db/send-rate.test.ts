// Tests the rate limit that all workers share: no slot is reserved twice, a pause saves no slots, and a clock that was set
// back delays nobody for more than ten minutes. All times are the database's.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Database } from '../../src/postgres/pool.ts'
import { reserveSends } from '../../src/db/send-rate.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { open } from './original-table.ts'

let own: TestDatabase
let database: Database

beforeAll(async () => {
  own = await createTestDatabase()
  database = open(own, 10)
})

afterAll(async () => {
  await database.close()
  await own.drop()
})

/** In whole microseconds, as PostgreSQL stores times. */
const micros = (time: string): string => `(extract(epoch from ${time}) * 1000000)::bigint::text`

interface Reservation {
  /** From its first slot to the first slot of the next reservation, in microseconds. */
  readonly start: number
  readonly end: number
  /** The returned wait for the first slot, in microseconds. */
  readonly wait: number
  /** The database's clock before and after the reservation. */
  readonly before: number
  readonly after: number
}

/** Reserves on its own connection, and reads the reservation in the same transaction. */
function reserve(attempts: number, perSecond: number): Promise<Reservation> {
  return database.transaction(async (tx) => {
    const clock = await tx.executeSql<{ now: string }>(`select ${micros('clock_timestamp()')} as "now"`)
    const seconds = await reserveSends(tx, attempts, perSecond)
    const { rows } = await tx.executeSql<{ end: string; now: string }>(
      `select ${micros('next_at')} as "end", ${micros('clock_timestamp()')} as "now" from sms_retry.send_rate`,
    )
    const end = Number(rows[0]?.end)
    return {
      start: end - Math.round((attempts / perSecond) * 1e6),
      end,
      wait: Math.round(seconds * 1e6),
      before: Number(clock.rows[0]?.now),
      after: Number(rows[0]?.now),
    }
  })
}

/** Sets the end of the last reservation to this distance from now. */
async function lastEndsAt(distance: string): Promise<number> {
  const [row] = await own.query<{ end: string }>(
    `update sms_retry.send_rate set next_at = clock_timestamp() + $1::interval returning ${micros('next_at')} as "end"`,
    [distance],
  )
  return Number(row?.end)
}

const byStart = (one: Reservation, other: Reservation): number => one.start - other.start

describe('concurrent reservations, each on its own connection,', () => {
  test('get consecutive slots at the interval of the rate', async () => {
    const first = await lastEndsAt('10 s')
    // 31 attempts take 15.5 s, which is within the maximum of ten minutes.
    const sizes = [1, 3, 2, 1, 5, 1, 4, 1, 2, 1, 6, 4]
    const reservations = await Promise.all(sizes.map((attempts) => reserve(attempts, 2)))
    const inOrder = reservations.toSorted(byStart)
    expect(inOrder.map(({ start }) => start)).toEqual([first, ...inOrder.slice(0, -1).map(({ end }) => end)])
    expect(inOrder.at(-1)?.end).toBe(first + 31 * 500_000)
  })

  test('return the wait until their first slot', async () => {
    await lastEndsAt('10 s')
    const reservations = await Promise.all(Array.from({ length: 12 }, () => reserve(1, 8)))
    // The clock is read in between, and rounding loses two microseconds.
    const wrong = reservations.filter(
      ({ start, wait, before, after }) => wait > start - before + 2 || wait < start - after - 2,
    )
    expect(wrong).toEqual([])
    expect(new Set(reservations.map(({ start }) => start)).size).toBe(12)
  })

  test('lose no slots on a pool without transactions', async () => {
    const first = await lastEndsAt('10 s')
    await Promise.all(Array.from({ length: 40 }, () => reserveSends(database, 1, 4)))
    const [row] = await own.query(`select ${micros('next_at')} as "end" from sms_retry.send_rate`)
    expect(row).toEqual({ end: String(first + 40 * 250_000) })
  })
})

test.each([
  '1 ms',
  '1 hour',
  '30 days',
])('after a pause of %s, the first attempt may start now, and the next at the interval of the rate', async (pause) => {
  await lastEndsAt(`-${pause}`)
  const first = await reserve(1, 0.5)
  expect(first.wait).toBe(0)
  expect(first.start).toBeGreaterThanOrEqual(first.before)
  const next = await reserve(1, 0.5)
  expect(next.start).toBeGreaterThanOrEqual(first.end)
  expect(next.start).toBeGreaterThanOrEqual(first.before + 2_000_000)
})

describe('a last slot in the future, because a clock was set back', () => {
  test.each(['11 minutes', '1 day', '1000 years'])('by %s, is ignored', async (distance) => {
    await lastEndsAt(distance)
    const { start, wait, before, after } = await reserve(1, 2)
    expect(start).toBeGreaterThanOrEqual(before)
    expect(start).toBeLessThanOrEqual(after)
    expect(wait).toBe(0)
  })

  test.each([
    '50 s',
    '2 minutes',
    '9 minutes 50 s',
  ])('by %s, is kept, because it may be reserved', async (distance) => {
    const last = await lastEndsAt(distance)
    expect((await reserve(1, 2)).start).toBe(last)
  })

  test('leads to no slot that is reserved twice', async () => {
    await lastEndsAt('1 day')
    const reservations = [await reserve(1, 2), await reserve(1, 2), await reserve(1, 2)]
    const [first, second, third] = reservations.toSorted(byStart)
    expect(second?.start).toBeGreaterThanOrEqual(first?.end ?? Number.NaN)
    expect(third?.start).toBeGreaterThanOrEqual(second?.end ?? Number.NaN)
  })
})

test('at the lowest rate, a second worker waits for the first, and a tenth for nine others', async () => {
  await lastEndsAt('0 s')
  const reservations = await Promise.all(Array.from({ length: 10 }, () => reserve(1, 0.1)))
  const inOrder = reservations.toSorted(byStart)
  const tooEarly = inOrder.filter(({ start }, i) => i > 0 && start < (inOrder[i - 1]?.end ?? 0))
  expect(tooEarly).toEqual([])
})

test('a missing row of the rate limit is created once', async () => {
  await own.query('truncate sms_retry.send_rate')
  const reservations = await Promise.all(Array.from({ length: 8 }, () => reserve(1, 0.5)))
  const inOrder = reservations.toSorted(byStart)
  expect(inOrder[0]?.wait).toBe(0)
  expect(inOrder.slice(1).map(({ start }) => start)).toEqual(inOrder.slice(0, -1).map(({ end }) => end))
  expect(await own.query('select only_row from sms_retry.send_rate')).toEqual([{ only_row: true }])
})
