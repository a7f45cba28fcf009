// The worker: due attempts are made, each once, never early and never after the deadline, whatever workers, jobs
// and Twilio do.
import { describe, expect, test } from '@jest/globals'
import { createTwilioClient } from '../src/twilio/client.ts'
import { startQueue } from '../src/queue.ts'
import { AttemptRunner } from '../src/run-attempts.ts'
import { type RunningWorker, runWorker } from '../src/worker.ts'
import { accept, type Answering, answerWith } from './support/fake-twilio.ts'
import { waitFor } from './support/wait-for.ts'
import type { World } from './support/world.ts'
import {
  appClient,
  closeLater,
  connectionCount,
  jobCount,
  message,
  newWorld,
  newWorldWith,
  rowOf,
  rowsOf,
} from './support/world-with.ts'

async function enqueue(world: World, changes: Parameters<typeof message>[0] = {}): Promise<number> {
  const { id } = await world.sender.enqueue(message(changes), { db: await appClient(world) })
  return id
}

const waitForStatus = (world: World, id: number, status: string): Promise<unknown> =>
  waitFor(`message ${id} to be ${status}`, async () => (await rowOf(world, id)).final_status === status)

const allJobsDone = (world: World): Promise<unknown> =>
  waitFor('all jobs to be done', async () => {
    const open = await world.database.query(
      `select 1 from sms_retry_pgboss.job where state <> 'completed' limit 1`,
    )
    return open.length === 0
  })

/** Rings for this attempt once more, as a job would that was delivered twice. */
async function ringAgain(world: World, id: number, attempt: number): Promise<void> {
  const { database, logger } = world.openRuntime()
  const queue = await startQueue(database, 'schedule', logger)
  // Postponements that the row does not know, so that it is a job of its own.
  await queue.schedule(database, [{ messageId: id, alarm: { attempt, postponements: 99 }, at: null }])
  await queue.stop(1_000)
  await database.close()
}

/** A worker that ends with the test, if it was not stopped before. */
async function newWorker(world: World): Promise<RunningWorker> {
  const worker = await runWorker(world.openRuntime())
  closeLater(() => worker.stop())
  return worker
}

async function newRunner(world: World): Promise<AttemptRunner> {
  const { config, database, policy, logger } = world.openRuntime()
  const queue = await startQueue(database, 'schedule', logger)
  closeLater(async () => {
    await queue.stop(1_000)
    await database.close()
  })
  const twilio = createTwilioClient(config.twilio, config.publicBaseUrl)
  return new AttemptRunner({ database, queue, policy, logger, twilio, random: Math.random }, 10)
}

describe('one attempt, at most one submission', () => {
  test('two workers and fifty messages: each is submitted once and delivered', async () => {
    const world = await newWorld()
    const client = await appClient(world)
    await client.query('begin')
    for (let i = 0; i < 50; i++) await world.sender.enqueue(message({ body: `Message ${i}` }), { db: client })
    await client.query('commit')
    await Promise.all([newWorker(world), newWorker(world)])
    await waitFor('fifty deliveries', async () =>
      (await rowsOf(world)).every(({ final_status }) => final_status === 'delivered'),
    )
    expect(new Set(world.simulator.messages().map(({ body }) => body)).size).toBe(50)
    expect(world.simulator.messages()).toHaveLength(50)
    expect(world.simulator.doubleSubmissions()).toEqual([])
  })

  test('one job, handled by ten at the same time and twice in each batch, is one submission', async () => {
    const { world, twilio } = await newWorldWith(accept)
    const id = await enqueue(world)
    const runners = await Promise.all(Array.from({ length: 10 }, () => newRunner(world)))
    const job = { message: id, attempt: 0 }
    await Promise.all(runners.map((runner) => runner.run([job, job])))
    await Promise.all(runners.map((runner) => runner.stop()))
    expect(twilio.posts).toHaveLength(1)
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'queued' })
  })

  test.each<[string, Answering]>([
    ['cuts the connection', (response) => response.destroy()],
    ['answers 500', answerWith(500, '')],
    ['accepts, but cannot say so', answerWith(201, '')],
  ])('if Twilio %s, the attempt stays in doubt and another job does not submit it', async (_what, answer) => {
    // Unscaled, so that reconciling (at the earliest 30 s later) stays out of it.
    const { world, twilio } = await newWorldWith(answer, { RETRY_DELAY_SCALE: '1' })
    const id = await enqueue(world)
    const worker = await newWorker(world)
    await waitFor('the outcome', async () => (await rowOf(world, id)).error_message !== null)
    await ringAgain(world, id, 0)
    await allJobsDone(world)
    await worker.stop()
    expect(twilio.posts).toHaveLength(1)
    expect(await jobCount(world)).toBe(2)
    expect(await rowOf(world, id)).toMatchObject({
      final_status: 'submitting',
      success: true,
      retry_count: 0,
      next_retry_at: null,
      error_message: expect.stringMatching(/not known whether Twilio has it/),
    })
  })

  test.each([
    ['of an attempt that is done', 0],
    ['of an attempt that is not scheduled yet', 2],
    ['of an attempt that there never was', 900],
  ])('a job %s submits nothing', async (_what, attempt) => {
    const { world, twilio } = await newWorldWith(accept)
    const { id } = await world.sender.send(message())
    await ringAgain(world, id, attempt)
    const worker = await newWorker(world)
    await allJobsDone(world)
    await worker.stop()
    expect(twilio.posts).toHaveLength(1)
  })

  test('a job without a row is done with, and the next job is not held up', async () => {
    const world = await newWorld()
    await ringAgain(world, 999_999, 0)
    const id = await enqueue(world)
    await world.startWorker()
    await waitForStatus(world, id, 'delivered')
    await allJobsDone(world)
  })
})

describe('not processed', () => {
  test('a 429 is tried again as the same attempt and uses up no retry', async () => {
    const world = await newWorld({ simulator: { chaos: { rateLimit: 1 }, retryAfterSeconds: 0 } })
    const id = await enqueue(world)
    await world.startWorker()
    await waitFor('three refusals', () => world.simulator.submissionCounts().rate_limited >= 3)
    world.simulator.setChaos({ rateLimit: 0 })
    await waitForStatus(world, id, 'delivered')
    const row = await rowOf(world, id)
    expect(row).toMatchObject({ retry_count: 0, success: true, error_message: null })
    expect(row.sms_metadata.attempts).toHaveLength(1)
    expect(row.sms_metadata.attempts?.[0]?.postponements).toBeGreaterThanOrEqual(3)
    expect(world.simulator.submissionCounts().accepted).toBe(1)
  })

  test('Retry-After is honoured as it stands, however short our own delay is', async () => {
    const tooMany = answerWith(429, { code: 20429 }, { 'Retry-After': '3600' })
    const { world } = await newWorldWith(tooMany)
    const id = await enqueue(world)
    await world.startWorker()
    const row = await waitFor('the answer', async () => {
      const now = await rowOf(world, id)
      return now.next_retry_at !== null && now
    })
    const [waits] = await world.database.query<{ long: boolean }>(
      `select next_retry_at > now() + interval '59 minutes' as "long" from sms_usage_logs`,
    )
    expect(waits).toEqual({ long: true })
    expect(row).toMatchObject({ final_status: 'pending', retry_count: 0 })
  })
})

describe('in time', () => {
  test('a retry is made, and never before it is due', async () => {
    // 30003 waits 1.5 s and 3 s, longer than the worker's pauses between looking.
    const world = await newWorld({ env: { RETRY_DELAY_SCALE: '0.005' } })
    await world.startWorker()
    const ids = await Promise.all(Array.from({ length: 5 }, () => enqueue(world, { to: '+15553000302' })))
    for (const id of ids) await waitForStatus(world, id, 'delivered')
    const due = new Map(
      world.log.flatMap(({ fields }) =>
        fields['nextRetryAt'] instanceof Date && fields['status'] === 'retrying'
          ? [[`${fields['messageId']} ${Number(fields['attempt']) + 1}`, fields['nextRetryAt'].getTime()]]
          : [],
      ) as [string, number][],
    )
    const retries = world.simulator.messages().filter(({ attempt }) => attempt !== 0)
    expect(retries).toHaveLength(10)
    for (const { message: id, attempt, created_at_ms } of retries) {
      const dueMs = due.get(`${id} ${attempt}`)
      if (dueMs === undefined) throw new Error(`message ${id}, attempt ${attempt}: no due time in the log`)
      expect(created_at_ms).toBeGreaterThanOrEqual(dueMs)
    }
  })

  test('an attempt whose row was moved to later waits for the row', async () => {
    const { world, twilio } = await newWorldWith(accept)
    const id = await enqueue(world)
    await world.database.query(`update sms_usage_logs set next_retry_at = now() + interval '1 hour'`)
    const worker = await newWorker(world)
    await waitFor('the job to be put off', async () => (await jobCount(world)) === 2)
    await worker.stop()
    expect(twilio.posts).toEqual([])
    const jobs = await world.database.query(
      `select start_after > now() + interval '59 minutes' as "later" from sms_retry_pgboss.job where state = 'created'`,
    )
    expect(jobs).toEqual([{ later: true }])
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'pending' })
  })

  test.each([
    ['a first attempt', 'pending', 0],
    ['a retry', 'retrying', 1],
  ])('%s after the deadline is expired, not sent', async (_what, status, attempt) => {
    const { world, twilio } = await newWorldWith(attempt === 0 ? accept : answerWith(400, { code: 21611 }), {
      RETRY_DELAY_SCALE: '0.001',
    })
    const valid = message({ validForSeconds: 3600 })
    const { id } =
      attempt === 0
        ? await world.sender.enqueue(valid, { db: await appClient(world) })
        : await world.sender.send(valid)
    expect(await rowOf(world, id)).toMatchObject({ final_status: status, retry_count: attempt })
    await world.database.query(
      `update sms_usage_logs set sms_metadata = sms_metadata || '{"deadline": "2026-01-01T00:00:00.000Z"}'`,
    )
    await world.startWorker()
    await waitForStatus(world, id, 'expired')
    expect(await rowOf(world, id)).toMatchObject({
      success: false,
      next_retry_at: null,
      error_message: expect.stringMatching(/deadline/),
    })
    expect(twilio.posts).toHaveLength(attempt)
  })

  test('what is left until the deadline is passed on to Twilio', async () => {
    const { world, twilio } = await newWorldWith(accept)
    const id = await enqueue(world, { validForSeconds: 100_000 })
    await world.database.query(
      `update sms_usage_logs
          set sms_metadata = sms_metadata || jsonb_build_object('deadline', now() + interval '5 minutes')`,
    )
    await world.startWorker()
    await waitForStatus(world, id, 'queued')
    const seconds = Number(twilio.posts[0]?.fields['ValidityPeriod'])
    expect(seconds).toBeGreaterThan(200)
    expect(seconds).toBeLessThanOrEqual(300)
  })
})

describe('stop', () => {
  test('lets the request under way finish, and records its answer', async () => {
    let idleConnections = 0
    const { world, twilio } = await newWorldWith(async (response, post) => {
      // Late: a worker that does not wait has closed its connections by then.
      await waitFor('the end', async () => (await connectionCount(world)) <= idleConnections, 4_000).catch(
        () => undefined,
      )
      accept(response, post)
    })
    const id = await enqueue(world)
    idleConnections = await connectionCount(world)
    const worker = await newWorker(world)
    await waitFor('the request', () => twilio.posts.length === 1)
    await worker.stop()
    expect(await rowOf(world, id)).toMatchObject({
      final_status: 'queued',
      twilio_message_sid: expect.stringMatching(/^SM/),
    })
    // PostgreSQL notices a moment later that a connection was closed.
    await waitFor(
      'the connections to be closed',
      async () => (await connectionCount(world)) === idleConnections,
    )
  })

  test('what is enqueued afterwards waits for the next worker', async () => {
    const world = await newWorld()
    await world.startWorker()
    await world.worker()?.stop()
    const id = await enqueue(world)
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'pending' })
    await world.startWorker()
    await waitForStatus(world, id, 'delivered')
    expect(world.simulator.messages()).toHaveLength(1)
  })
})
