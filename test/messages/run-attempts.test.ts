// Tests that the worker makes each due attempt once, whatever workers, jobs and Twilio do. run-in-time.test.ts tests when.
import { describe, expect, test } from '@jest/globals'
import { accept, type Answering, answerWith } from '../support/fake-twilio.ts'
import { waitFor } from '../support/wait-for.ts'
import { allAlarmsRung, enqueue, newRunner, newWorker, ringAgain, waitForStatus } from '../support/workers.ts'
import { DEFAULT_POOL } from '../support/world.ts'
import {
  appClient,
  connectionCount,
  jobCount,
  message,
  newWorld,
  newWorldWith,
  rowOf,
  rowsOf,
} from '../support/world-with.ts'

describe('an attempt is submitted at most once', () => {
  test('by two workers, which deliver all fifty messages', async () => {
    const world = await newWorld({ env: DEFAULT_POOL })
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

  test('if its job is handled ten times at once and twice in each batch', async () => {
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
  ])('if Twilio %s, because it stays in doubt', async (_what, answer) => {
    // Unscaled, so that no reconciling (45 s after the claim) interferes.
    const { world, twilio } = await newWorldWith(answer, { RETRY_DELAY_SCALE: '1' })
    const id = await enqueue(world)
    const worker = await newWorker(world)
    await waitFor('the outcome', async () => (await rowOf(world, id)).error_message !== null)
    await ringAgain(world, id, 0)
    await allAlarmsRung(world)
    await worker.stop()
    expect(twilio.posts).toHaveLength(1)
    expect(await jobCount(world)).toBe(2)
    expect(await rowOf(world, id)).toMatchObject({
      final_status: 'submitting',
      success: true,
      retry_count: 0,
      next_retry_at: null,
      error_message: expect.stringMatching(/not known whether Twilio received the message/),
    })
  })

  test.each([
    ['of a completed attempt', 0],
    ['of an attempt that is not scheduled yet', 2],
    ['of an attempt that never existed', 900],
  ])('a job %s submits nothing', async (_what, attempt) => {
    // Unscaled, so that no status is looked up.
    const { world, twilio } = await newWorldWith(accept, { RETRY_DELAY_SCALE: '1' })
    const { id } = await world.sender.send(message())
    await ringAgain(world, id, attempt)
    const worker = await newWorker(world)
    await allAlarmsRung(world)
    await worker.stop()
    expect(twilio.posts).toHaveLength(1)
  })

  test('a job without a row is completed, and does not block the next job', async () => {
    const world = await newWorld()
    await ringAgain(world, 999_999, 0)
    const id = await enqueue(world)
    await world.startWorker()
    await waitForStatus(world, id, 'delivered')
    await allAlarmsRung(world)
  })
})

describe('an attempt that Twilio does not process', () => {
  test('because of a 429 is made again as the same attempt, and uses up no retry', async () => {
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

  test('honours Retry-After unscaled, even if our own delay is shorter', async () => {
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

describe('stopping a worker', () => {
  test('waits for the running request, and records its answer', async () => {
    let idleConnections = 0
    const { world, twilio } = await newWorldWith(async (response, post) => {
      // So late that a worker that does not wait has closed its connections.
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
    // PostgreSQL notices a closed connection with a delay.
    await waitFor(
      'the connections to be closed',
      async () => (await connectionCount(world)) === idleConnections,
    )
  })

  test('leaves messages that are enqueued afterwards to the next worker', async () => {
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

describe('a claim that the database does not write is not submitted', () => {
  const TRIGGER = (body: string): string[] => [
    `create function meddle() returns trigger language plpgsql as $$ begin ${body} end $$`,
    'create trigger meddle before update on sms_usage_logs for each row execute function meddle()',
  ]

  test.each<[by: string, statements: string[]]>([
    [
      'a constraint',
      [
        `alter table sms_usage_logs add constraint "no user is busy" check (final_status <> 'submitting') not valid`,
      ],
    ],
    ['a trigger that returns null', TRIGGER('return null;')],
    ['a trigger that restores the status', TRIGGER('new.final_status := old.final_status; return new;')],
    ['a trigger that removes the attempts', TRIGGER(`new.sms_metadata := '{}'; return new;`)],
    ['a rule', ['create rule "no updates" as on update to sms_usage_logs do instead nothing']],
  ])('because of %s, and is logged for a person', async (_by, statements) => {
    const { world, twilio } = await newWorldWith(accept)
    const id = await enqueue(world)
    for (const statement of statements) await world.database.query(statement)
    await newWorker(world)
    await waitFor('the job to be done', async () => {
      const jobs = await world.database.query(
        `select from sms_retry_pgboss.job where name = 'attempt' and state = 'completed'`,
      )
      return jobs.length === 1
    })
    await ringAgain(world, id, 0)
    await waitFor('the second job to be done', async () => {
      const jobs = await world.database.query(
        `select from sms_retry_pgboss.job where name = 'attempt' and state = 'completed'`,
      )
      return jobs.length === 2
    })
    expect(twilio.posts).toEqual([])
    const errors = world.log.filter(({ level }) => level === 'error')
    expect(errors).toMatchObject([{ fields: { messageId: id } }])
  })
})

test('pg-boss stores no values of the row when a claim fails', async () => {
  const { world } = await newWorldWith(accept)
  const id = await enqueue(world, { to: '+12065550177', body: 'A text nobody may read' })
  const app = await appClient(world)
  await app.query('begin')
  await app.query('select from sms_usage_logs where id = $1 for update', [id])
  await newWorker(world)
  const output = await waitFor('the job to have failed', async () => {
    const [job] = await world.database.query<{ output: object }>(
      `select output from sms_retry_pgboss.job where name = 'attempt' and state = 'retry' and output is not null`,
    )
    return job?.output
  })
  await app.query('rollback')
  expect(JSON.stringify(output)).toContain('lock timeout')
  expect(JSON.stringify(output)).not.toMatch(/5550177|nobody may read/)
})
