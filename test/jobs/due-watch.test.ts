// Tests that a worker's queue is woken when a retry is due: not earlier, in one worker only, and also after a database
// failure.
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { type Database, type Db, openDatabase } from '../../src/postgres/pool.ts'
import { DueWatch } from '../../src/jobs/due-watch.ts'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { open } from '../db/original-table.ts'
import { startDatabaseProxy } from '../http/database-proxy.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { waitFor } from '../support/wait-for.ts'
import { capturingLogger, type LogLine } from '../support/world.ts'

let own: TestDatabase
let database: Database
const ends: (() => Promise<unknown>)[] = []

beforeEach(async () => {
  own = await createTestDatabase()
  database = open(own)
  ends.push(() => database.close())
})

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
  await own.drop()
})

interface Watching {
  /** When it woke the queue, by the clock of this machine, which the database shares. */
  readonly wokenAt: number[]
  /** The number of its statements. */
  readonly asked: () => number
  stop(): Promise<void>
}

function watch(db: Db = database, log: LogLine[] = []): Watching {
  const wokenAt: number[] = []
  let asked = 0
  const counting: Db = {
    executeSql(text, values) {
      asked += 1
      return db.executeSql(text, values)
    },
  }
  const dueWatch = new DueWatch(counting, () => void wokenAt.push(Date.now()), capturingLogger(log))
  const stop = (): Promise<void> => dueWatch.stop()
  ends.push(stop)
  return { wokenAt, asked: () => asked, stop }
}

/**
 * Inserts a retry, and further ones after it: on a machine that pauses, the watch may miss one, which polling finds. It also
 * misses retries that are scheduled less than half a second ahead.
 *
 * @returns when the first one is due
 */
async function retryIn(milliseconds: number): Promise<number> {
  const [row] = await own.query<{ at: Date }>(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, success, next_retry_at)
     select 1, '+12065550100', 'outbound', 5, false, now() + make_interval(secs => ($1 + later) / 1000.0)
       from generate_series(0, 10000, 200) as later
     returning next_retry_at as "at"`,
    [milliseconds],
  )
  if (row === undefined) throw new Error('not inserted')
  return row.at.getTime()
}

/** Marks them as made by the worker. */
async function made(): Promise<void> {
  await own.query('update sms_usage_logs set success = true, next_retry_at = null')
}

const untilWoken = ({ wokenAt }: Watching): Promise<number> =>
  waitFor('the queue to be woken', () => wokenAt[0])

/** @returns the holder of the watch */
function untilHeld(): Promise<string> {
  return waitFor('one to have the watch', async () => {
    const [row] = await own.query<{ holder: string }>('select holder::text from sms_retry.due_watch')
    return row?.holder
  })
}

/** Releases the watch, as if its holder had died. */
async function expire(): Promise<void> {
  await own.query(`update sms_retry.due_watch set held_until = now() - interval '1 second'`)
}

test.each([
  5, 300, 800,
])('a retry that is due in %i ms wakes the queue, but not earlier', async (milliseconds) => {
  const dueAt = await retryIn(milliseconds)
  const watching = watch()
  expect(await untilWoken(watching)).toBeGreaterThanOrEqual(dueAt)
})

test('a retry that is scheduled during the watch wakes the queue, but not earlier', async () => {
  const watching = watch()
  await retryIn(3_600_000)
  await untilHeld()
  const dueAt = await retryIn(800)
  expect(await untilWoken(watching)).toBeGreaterThanOrEqual(dueAt)
})

test('two retries each wake the queue when they are due', async () => {
  const firstAt = await retryIn(300)
  const watching = watch()
  expect(await untilWoken(watching)).toBeGreaterThanOrEqual(firstAt)
  await made()
  const asked = watching.asked()
  // Until then the watch may still have seen the first ones.
  await waitFor('two looks', () => watching.asked() >= asked + 2)
  watching.wokenAt.length = 0
  const secondAt = await retryIn(800)
  expect(await untilWoken(watching)).toBeGreaterThanOrEqual(secondAt)
})

test('nothing wakes the queue while no retry is due', async () => {
  await retryIn(3_600_000)
  const watching = watch()
  await waitFor('some looks', () => watching.asked() > 4)
  expect(watching.wokenAt).toEqual([])
})

test('only the worker that has the watch is woken', async () => {
  const first = watch()
  await untilHeld()
  const second = watch()
  await waitFor('the second one to have asked for the watch', () => second.asked() > 0)
  await retryIn(800)
  await untilWoken(first)
  expect(second.wokenAt).toEqual([])
  expect(second.asked()).toBeLessThan(first.asked())
})

test('when the holder of the watch stops, it runs no more statements, and another worker takes the watch over', async () => {
  const first = watch()
  const holder = await untilHeld()
  const second = watch()
  await waitFor('the second one to have asked for the watch', () => second.asked() > 0)
  await first.stop()
  const asked = first.asked()
  await expire()
  await waitFor('the watch to be taken over', async () => (await untilHeld()) !== holder)
  const dueAt = await retryIn(800)
  expect(await untilWoken(second)).toBeGreaterThanOrEqual(dueAt)
  expect(first.wokenAt).toEqual([])
  expect(first.asked()).toBe(asked)
})

test('a worker whose watch was taken over while it was suspended does not continue it', async () => {
  const first = watch()
  await untilHeld()
  await own.query(
    `update sms_retry.due_watch
        set holder = gen_random_uuid(), held_until = clock_timestamp() + interval '5 seconds'`,
  )
  const holder = await untilHeld()
  // It renews the watch after two seconds.
  await retryIn(2_500)
  await waitFor('the retry to have been due', async () => {
    await own.query(
      `update sms_retry.due_watch set held_until = clock_timestamp() + interval '5 seconds' where holder = $1`,
      [holder],
    )
    const due = await own.query(`select from sms_usage_logs where next_retry_at < now() - interval '110 ms'`)
    return due.length > 0
  })
  expect(first.wokenAt).toEqual([])
  expect(await untilHeld()).toBe(holder)
})

test('after a database failure the watch wakes the queue again', async () => {
  const proxy = await startDatabaseProxy(own.url, await freePort())
  ends.push(() => proxy.close())
  const lossy = openDatabase({ url: proxy.url, ssl: null, poolMax: 1 }, () => undefined)
  ends.push(() => lossy.close())
  const log: LogLine[] = []
  const watching = watch(lossy, log)
  await untilHeld()
  await proxy.set('away')
  await waitFor('some looks in vain', () => log.length > 2)
  expect(watching.wokenAt).toEqual([])
  await proxy.set('there')
  const dueAt = await retryIn(700)
  expect(await untilWoken(watching)).toBeGreaterThanOrEqual(dueAt)
  // Debug only: without a watch, polling finds due jobs.
  expect(new Set(log.map(({ level }) => level))).toEqual(new Set(['debug']))
})

test('a watch that is stopped while it waits does not wake the queue', async () => {
  const dueAt = await retryIn(450)
  const watching = watch()
  await waitFor('the retry to be in sight', () => watching.asked() === 2)
  await watching.stop()
  expect(watching.wokenAt.filter((at) => at < dueAt)).toEqual([])
})
