// SEND_RATE_PER_SECOND with real workers: they share one rate, claim only jobs that may start soon, and reserve no send for
// a needless job. How sends are reserved is tested in test/db/send-rate.test.ts.
import { expect, test } from '@jest/globals'
import { startQueue } from '../../src/jobs/queue.ts'
import { passForRows } from '../support/timed-world.ts'
import { waitFor } from '../support/wait-for.ts'
import { allAlarmsRung, enqueue, newWorker, waitForStatus } from '../support/workers.ts'
import type { World } from '../support/world.ts'
import { closeLater, newWorld, rowsOf } from '../support/world-with.ts'

const RATE = 5
const MESSAGES = 30
const WORKERS = 3
/** The maximum number of jobs that all workers together have claimed at a time. */
const MAX_TAKEN = 2 * WORKERS
/** A timer may fire this early. */
const TIMER_MS = 2

const newPacedWorld = (): Promise<World> => newWorld({ env: { SEND_RATE_PER_SECOND: `${RATE}` } })

/** Delays the first send, so that all workers can start. Returns its time, in milliseconds since 1970. */
async function delayFirstSend({ database }: World, seconds: number): Promise<number> {
  await database.query(
    'update sms_retry.send_rate set next_at = clock_timestamp() + make_interval(secs => $1)',
    [seconds],
  )
  return nextSendMs({ database })
}

async function nextSendMs({ database }: Pick<World, 'database'>): Promise<number> {
  const [row] = await database.query<{ ms: number }>(
    'select (extract(epoch from next_at) * 1000)::float8 as "ms" from sms_retry.send_rate',
  )
  return row?.ms ?? Number.NaN
}

/** Adds jobs for the first attempt of this message, as if it had been postponed and scheduled again. */
async function duplicate(world: World, messageId: number, count: number): Promise<void> {
  const { database, logger } = world.openRuntime()
  closeLater(() => database.close())
  const queue = await startQueue(database, 'schedule', logger)
  const jobs = Array.from({ length: count }, (_, i) => ({ attempt: 0, postponements: i + 1 }))
  await queue.schedule(
    database,
    jobs.map((job) => ({ messageId, key: null, ...job, at: null })),
  )
  await queue.stop(1_000)
}

test(`${WORKERS} workers together send ${MESSAGES} overdue attempts at ${RATE} per second, each once`, async () => {
  const world = await newPacedWorld()
  for (let i = 0; i < MESSAGES; i += 1) await enqueue(world, { to: `+120655501${10 + i}` })
  // Each sweep finds overdue attempts that still wait for their turn.
  await passForRows(world, 60)
  const startMs = await delayFirstSend(world, 2)
  await world.startWorker()
  for (let i = 1; i < WORKERS; i += 1) await newWorker(world)

  let mostTaken = 0
  await waitFor('all deliveries', async () => {
    const taken = await world.database.query(
      `select from sms_retry_pgboss.job where name = 'attempt' and state = 'active'`,
    )
    mostTaken = Math.max(mostTaken, taken.length)
    return (await rowsOf(world)).every(({ final_status }) => final_status === 'delivered')
  })

  expect(world.simulator.messages()).toHaveLength(MESSAGES)
  expect(new Set(world.simulator.messages().map(({ to }) => to)).size).toBe(MESSAGES)
  expect(world.simulator.doubleSubmissions()).toEqual([])
  const times = world.simulator.messages().map(({ created_at_ms }) => created_at_ms)
  const ahead = times
    .toSorted((one, other) => one - other)
    .map((atMs, i) => atMs - (startMs + (i * 1000) / RATE))
    .filter((distanceMs) => distanceMs < -TIMER_MS)
  expect(ahead).toEqual([])
  // No job reserved a send that another worker could have used.
  expect(mostTaken).toBeGreaterThan(0)
  expect(mostTaken).toBeLessThanOrEqual(MAX_TAKEN)

  const words = world.log.map(({ message }) => message)
  expect(words).toContain('Overdue messages reconciled')
  expect(words.filter((word) => word.includes('its job is rescheduled'))).toEqual([])
  expect(await world.database.query(`select from sms_retry_pgboss.job where name = 'attempt'`)).toHaveLength(
    MESSAGES,
  )
})

test('jobs of an attempt that was already made reserve no send', async () => {
  const world = await newPacedWorld()
  const id = await enqueue(world)
  await world.startWorker()
  await waitForStatus(world, id, 'delivered')
  const before = await nextSendMs(world)
  await duplicate(world, id, 6)
  await allAlarmsRung(world)
  expect(await nextSendMs(world)).toBe(before)
  expect(world.simulator.messages()).toHaveLength(1)
})

test('several jobs of one attempt reserve one send together', async () => {
  const world = await newPacedWorld()
  const id = await enqueue(world)
  await duplicate(world, id, 6)
  const startMs = await delayFirstSend(world, 2)
  await world.startWorker()
  await allAlarmsRung(world)
  expect(await nextSendMs(world)).toBeCloseTo(startMs + 1000 / RATE, 1)
  expect(world.simulator.messages()).toHaveLength(1)
})
