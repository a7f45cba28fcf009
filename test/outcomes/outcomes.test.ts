// The app learns what its messages came to: each final status once, in its handler, also after failures of the handler.
import { expect, test } from '@jest/globals'
import type { Outcome } from '../../src/outcomes/outcome-event.ts'
import { openRecording } from '../../src/processes/open-recording.ts'
import type { RecordingDeps } from '../../src/recording/event-recorder.ts'
import { recordEvents, recordIsolated } from '../../src/recording/record-events.ts'
import { runWorker } from '../../src/processes/worker.ts'
import { waitFor } from '../support/wait-for.ts'
import type { World } from '../support/world.ts'
import { appClient, closeLater, message, newWorld, rowOf } from '../support/world-with.ts'

const ON = { OUTCOME_EVENTS: 'true' }
/** Delivered at first try. */
const DELIVERED = '+12065550199'
/** Undelivered with 30003 three times, which are all its attempts. */
const LOST = '+15553000303'
/** Undelivered with 30003 once, then delivered. */
const RECOVERED = '+15553000301'

interface StoredJob {
  readonly name: string
  readonly state: string
  readonly data: { id: string; message: number; type: string }
}

const jobsOf = ({ database }: World): Promise<StoredJob[]> =>
  database.query<StoredJob>(
    `select name, state::text, data from sms_retry_pgboss.job where name like 'outcome%' order by created_on, name`,
  )

async function newOutcomeWorld(
  onOutcome: (outcome: Outcome) => unknown,
  env: Record<string, string> = {},
): Promise<World> {
  const world = await newWorld({ env: { ...ON, ...env } })
  const worker = await runWorker(world.openRuntime(), onOutcome)
  closeLater(() => worker.stop())
  return world
}

async function openDeps(world: World): Promise<RecordingDeps> {
  const recording = await openRecording(world.openRuntime())
  closeLater(() => recording.close())
  return recording.deps
}

/** Lets outcomes whose delivery failed be due now. */
const endPauses = ({ database }: World): Promise<unknown> =>
  database.query(
    `update sms_retry_pgboss.job set start_after = now() where name = 'outcome' and state < 'active'`,
  )

test('the handler gets the outcome of each message, with its user, its key and its metadata', async () => {
  const outcomes: Outcome[] = []
  const world = await newOutcomeWorld((outcome) => outcomes.push(outcome))
  const { sender } = world
  const delivered = await sender.send(
    message({ to: DELIVERED, userId: 12, idempotencyKey: 'order-1', metadata: { order: 1001 } }),
  )
  const lost = await sender.send(message({ to: LOST }))
  const recovered = await sender.send(message({ to: RECOVERED }))
  await waitFor('three outcomes', () => outcomes.length === 3)
  const row = await rowOf(world, lost.id)
  const outcomeOf = (id: number): Outcome | undefined => outcomes.find(({ messageId }) => messageId === id)
  expect(outcomeOf(delivered.id)).toEqual({
    id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    type: 'message.delivered',
    messageId: delivered.id,
    idempotencyKey: 'order-1',
    userId: 12,
    metadata: { order: 1001 },
    status: 'delivered',
    previousStatus: expect.stringMatching(/^(accepted|queued|sending|sent)$/),
    errorCode: null,
    reason: null,
    retryCount: 0,
    sid: delivered.sid,
    at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
  })
  expect(outcomeOf(lost.id)).toMatchObject({
    type: 'message.failed',
    idempotencyKey: null,
    metadata: {},
    status: 'undelivered',
    errorCode: 30003,
    reason: row.error_message,
    retryCount: 2,
    sid: row.twilio_message_sid,
  })
  expect(outcomeOf(recovered.id)).toMatchObject({ type: 'message.delivered', errorCode: null, retryCount: 1 })
  await waitFor('all jobs to be completed', async () =>
    (await jobsOf(world)).every(({ state }) => state === 'completed'),
  )
  expect(await jobsOf(world)).toHaveLength(3)
})

test('without OUTCOME_EVENTS no outcome is recorded', async () => {
  const world = await newWorld()
  await world.startWorker()
  const { id } = await world.sender.send(message({ to: DELIVERED }))
  await waitFor('the delivery', async () => (await rowOf(world, id)).final_status === 'delivered')
  expect(await jobsOf(world)).toEqual([])
})

test('a worker with a handler warns if it does not record outcomes itself', async () => {
  const world = await newWorld()
  const worker = await runWorker(world.openRuntime(), () => undefined)
  closeLater(() => worker.stop())
  expect(world.log.filter(({ level }) => level === 'warn')).toMatchObject([
    { message: expect.stringContaining('OUTCOME_EVENTS is not true') },
  ])
})

test('outcomes of messages that were canceled, have expired or may not be sent are recorded as well', async () => {
  const outcomes: Outcome[] = []
  const world = await newOutcomeWorld((outcome) => outcomes.push(outcome), {
    RECIPIENT_ALLOWLIST: '+1206*',
  })
  const { sender, database } = world
  const sendAfter = new Date(Date.now() + 3_600_000)
  const expired = await sender.send(message({ sendAfter, validForSeconds: 7200 }))
  await database.query(
    `update sms_usage_logs set sms_metadata = sms_metadata || '{"deadline": "2026-01-01T00:00:00.000Z", "reconcile_at": "2026-01-01T00:00:00.000Z"}'`,
  )
  const refused = await sender.send(message({ to: '+12125550100' }))
  await waitFor('two outcomes', () => outcomes.length === 2)
  const typesOf = (id: number): unknown[] =>
    outcomes.filter(({ messageId }) => messageId === id).map(({ type, status }) => [type, status])
  expect(typesOf(expired.id)).toEqual([['message.expired', 'expired']])
  expect(typesOf(refused.id)).toEqual([['message.canceled', 'canceled']])
})

test('a job holds neither phone number nor text', async () => {
  const world = await newWorld({ env: ON })
  const { database, queue } = await openDeps(world)
  const outcome = {
    type: 'message.failed',
    messageId: 1,
    key: 'a',
    status: 'failed',
    previousStatus: 'submitting',
    errorCode: 21211,
    reason: "The 'To' number +1 (206) 555-0199 is not valid",
    to: '+12065550199',
    retryCount: 0,
    sid: null,
    at: new Date(),
    corrects: null,
  } as const
  await queue.outcomes.add(database, [outcome])
  const [job] = await jobsOf(world)
  expect(job?.data).toMatchObject({ message: 1, reason: "The 'To' number …0199 is not valid" })
  expect(JSON.stringify(job)).not.toMatch(/5550199|555-0199/)
})

test('an outcome that the handler refuses is delivered again with the same id', async () => {
  const ids: string[] = []
  const world = await newOutcomeWorld(({ id }) => {
    ids.push(id)
    if (ids.length === 1) throw new Error('The shop is closed')
  })
  await world.sender.send(message({ to: DELIVERED }))
  await waitFor('the first delivery', () => ids.length === 1)
  await waitFor('the pause', async () => (await jobsOf(world))[0]?.state === 'retry')
  const line = world.log.find(({ message: text }) => text === 'Outcome not delivered')
  expect(line?.fields).toMatchObject({ error: { name: 'Error', message: 'The shop is closed' } })
  const [pause] = await world.database.query<{ seconds: number }>(
    `select extract(epoch from start_after - now())::float8 as "seconds" from sms_retry_pgboss.job where name = 'outcome'`,
  )
  expect(pause?.seconds).toBeGreaterThan(3)
  expect(pause?.seconds).toBeLessThanOrEqual(14)
  await endPauses(world)
  await waitFor('the second delivery', async () => (await jobsOf(world))[0]?.state === 'completed')
  expect(new Set(ids).size).toBe(1)
})

test('an outcome that fails ten repetitions waits for a person, who delivers it again', async () => {
  const ids: string[] = []
  let isClosed = true
  const world = await newOutcomeWorld(({ id }) => {
    ids.push(id)
    if (isClosed) throw new Error('Cannot reach +12065550199')
  })
  const { queue } = await openDeps(world)
  await world.sender.send(message({ to: DELIVERED }))
  const failed = await waitFor('the outcome to fail', async () => {
    await endPauses(world)
    const list = await queue.outcomes.listOpen('failed', 10)
    return list.length > 0 && list
  })
  expect(ids).toHaveLength(11)
  expect(failed).toMatchObject([
    { job: { id: ids[0] }, failures: 11, failure: 'handler: Cannot reach …0199', nextAt: null },
  ])
  isClosed = false
  expect(await queue.outcomes.redeliverFailed()).toBe(1)
  await waitFor('the last delivery', () => ids.length === 12)
  expect(new Set(ids).size).toBe(1)
  expect(await queue.outcomes.listOpen('failed', 10)).toEqual([])
})

test('a correction is delivered after the outcome that it corrects', async () => {
  const outcomes: Outcome[] = []
  let isClosed = true
  const world = await newOutcomeWorld((outcome) => {
    if (isClosed) throw new Error('The shop is closed')
    outcomes.push(outcome)
  })
  const { id, sid = '' } = await world.sender.send(message({ to: '+15553000703' }))
  await waitFor('the pause', async () => (await jobsOf(world))[0]?.state === 'retry')
  const report = {
    kind: 'report',
    attempt: 0,
    sid,
    status: 'delivered',
    errorCode: null,
    errorText: null,
  } as const
  await recordEvents(await openDeps(world), [{ target: { id }, event: report }])
  await waitFor('the correction to wait', async () => (await jobsOf(world)).length === 2)
  isClosed = false
  await waitFor('both outcomes', async () => {
    await endPauses(world)
    return outcomes.length === 2
  })
  expect(outcomes).toMatchObject([
    { type: 'message.failed', status: 'undelivered', errorCode: 30007 },
    { type: 'message.corrected', status: 'delivered', previousStatus: 'undelivered', errorCode: null },
  ])
})

test('an outcome of a row that is gone is delivered, with what was recorded', async () => {
  const outcomes: Outcome[] = []
  const world = await newWorld({ env: ON })
  await world.startWorker()
  const gone = await world.sender.send(message({ idempotencyKey: 'a', metadata: { order: 1 } }))
  const replaced = await world.sender.send(message({ idempotencyKey: 'b', metadata: { order: 2 } }))
  await waitFor('two jobs', async () => (await jobsOf(world)).length === 2)
  await world.database.query('delete from sms_usage_logs where id = $1', [gone.id])
  // After a restore, another message can have the same id.
  await world.database.query(
    `update sms_usage_logs set sms_metadata = sms_metadata || '{"callback_key": "another"}' where id = $1`,
    [replaced.id],
  )
  const worker = await runWorker(world.openRuntime(), (outcome) => outcomes.push(outcome))
  closeLater(() => worker.stop())
  await waitFor('both outcomes', () => outcomes.length === 2)
  const nothingOfTheRow = { userId: null, idempotencyKey: null, metadata: {}, status: 'delivered' }
  expect(outcomes).toMatchObject([nothingOfTheRow, nothingOfTheRow])
})

test('a final status that the database refuses to record has no outcome', async () => {
  const world = await newWorld({ env: ON, simulator: { chaos: { dropCallbacks: 1 } } })
  const { id, sid = '' } = await world.sender.send(message())
  await world.database.query(
    `create function refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$`,
  )
  await world.database.query(
    `create trigger refuse before update on sms_usage_logs for each row
       when (new.final_status = 'delivered') execute function refuse()`,
  )
  const report = {
    kind: 'report',
    attempt: 0,
    sid,
    status: 'delivered',
    errorCode: null,
    errorText: null,
  } as const
  const deps = await openDeps(world)
  await expect(recordEvents(deps, [{ target: { id }, event: report }])).rejects.toThrow()
  expect(await jobsOf(world)).toEqual([])
  await world.database.query('drop trigger refuse on sms_usage_logs')
  await recordEvents(deps, [{ target: { id }, event: report }])
  // Twilio repeats a callback.
  await recordEvents(deps, [{ target: { id }, event: report }])
  expect(await jobsOf(world)).toMatchObject([{ data: { message: id, type: 'message.delivered' } }])
})

test('outcomes follow the transaction of the app', async () => {
  const world = await newWorld({ env: { ...ON, RECIPIENT_ALLOWLIST: '+1206*' } })
  const client = await appClient(world)
  const { sender } = world
  const { id } = await sender.enqueue(message({ sendAfter: new Date(Date.now() + 60_000) }), { db: client })
  const outcomes = async (): Promise<unknown> =>
    (await jobsOf(world)).map(({ data }) => [data.message, data.type])
  for (const end of ['rollback', 'commit']) {
    await client.query('begin')
    await sender.enqueueMany([message({ to: '+12125550100' }), message()], { db: client })
    expect(await sender.cancel({ id }, { db: client })).toEqual({ canceled: true, status: 'canceled' })
    await client.query(end)
    if (end === 'rollback') expect(await outcomes()).toEqual([])
  }
  const [refused] = await world.database.query<{ id: number }>(
    `select id from sms_usage_logs where phone_number = '+12125550100'`,
  )
  expect(await outcomes()).toEqual(
    expect.arrayContaining([
      [id, 'message.canceled'],
      [refused?.id, 'message.canceled'],
    ]),
  )
  expect(await jobsOf(world)).toHaveLength(2)
})

test('a message that is canceled, retried and canceled again gives two outcomes', async () => {
  const world = await newWorld({ env: ON })
  const { sender } = world
  const deps = await openDeps(world)
  const { id } = await sender.send(message({ sendAfter: new Date(Date.now() + 3_600_000) }))
  await sender.cancel({ id })
  await recordEvents(deps, [{ target: { id }, event: { kind: 'retry', seen: null, force: false } }])
  await sender.cancel({ id })
  const jobs = await jobsOf(world)
  expect(jobs.map(({ data }) => data.type)).toEqual(['message.canceled', 'message.canceled'])
  expect(new Set(jobs.map(({ data }) => data.id)).size).toBe(2)
})

test('corrections of a correction are delivered in their order', async () => {
  const outcomes: Outcome[] = []
  let isClosed = true
  const world = await newOutcomeWorld((outcome) => {
    if (isClosed) throw new Error('The shop is closed')
    outcomes.push(outcome)
  })
  const { id, sid = '' } = await world.sender.send(message({ to: '+15553000703' }))
  await waitFor('the pause', async () => (await jobsOf(world))[0]?.state === 'retry')
  const deps = await openDeps(world)
  const report = { kind: 'report', attempt: 0, sid, errorCode: null, errorText: null } as const
  await recordEvents(deps, [{ target: { id }, event: { ...report, status: 'delivered' } }])
  const isWaiting = async (type: string, count: number): Promise<boolean> =>
    (
      await world.database.query(
        `select from sms_retry_pgboss.job
          where name = 'outcome' and state = 'created' and start_after > now() and data ->> 'type' = $1`,
        [type],
      )
    ).length === count
  await waitFor('the first correction to wait', () => isWaiting('message.corrected', 1))
  await recordEvents(deps, [{ target: { id }, event: { ...report, status: 'read' } }])
  await waitFor('the second correction to wait', () => isWaiting('message.corrected', 2))
  // The first outcome would be due in some seconds, and its corrections after it.
  isClosed = false
  for (const count of [1, 2, 3]) {
    await endPauses(world)
    await waitFor(`outcome ${count}`, () => outcomes.length === count)
  }
  expect(outcomes.map(({ type, status }) => [type, status])).toEqual([
    ['message.failed', 'undelivered'],
    ['message.corrected', 'delivered'],
    ['message.corrected', 'read'],
  ])
})

test('a cancel that the database discards has no outcome', async () => {
  const world = await newWorld({ env: ON })
  const { sender, database } = world
  const { id } = await sender.send(message({ sendAfter: new Date(Date.now() + 3_600_000) }))
  const other = await sender.send(message({ sendAfter: new Date(Date.now() + 3_600_000) }))
  await database.query(
    `create function discard() returns trigger language plpgsql as $$ begin return null; end $$`,
  )
  await database.query(
    `create trigger discard before update on sms_usage_logs for each row
       when (new.id = ${id} and new.final_status = 'canceled') execute function discard()`,
  )
  await expect(sender.cancel({ id })).rejects.toThrow('discarded')
  expect(await jobsOf(world)).toEqual([])
  const deps = await openDeps(world)
  const results = await recordIsolated(
    deps,
    [id, other.id].map((id) => ({ target: { id }, event: { kind: 'cancel' } })),
  )
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])
  expect(await jobsOf(world)).toMatchObject([{ data: { message: other.id, type: 'message.canceled' } }])
})

test('an outcome whose worker died in each delivery says so', async () => {
  const world = await newWorld({ env: ON })
  const { sender, database } = world
  const { queue } = await openDeps(world)
  const { id } = await sender.send(message({ sendAfter: new Date(Date.now() + 3_600_000) }))
  await sender.cancel({ id })
  // As pg-boss finds it after the death of a worker.
  await database.query(
    `update sms_retry_pgboss.job set state = 'active', started_on = now() - interval '1 hour', retry_count = retry_limit
      where name = 'outcome'`,
  )
  await world.startWorker()
  const [failed] = await waitFor('the outcome to fail', async () => {
    const list = await queue.outcomes.listOpen('failed', 10)
    return list.length > 0 && list
  })
  expect(failed).toMatchObject({ failures: 11, failure: 'The worker ended during the delivery' })
})

test("outcomes are delivered again although the app's clock is behind that of the database", async () => {
  const world = await newWorld({ env: ON })
  const { queue } = await openDeps(world)
  await world.database.query(
    `insert into sms_retry_pgboss.job (name, data, policy, source_name, created_on)
     values ('outcome_failed', '{}', 'standard', 'outcome', now() + interval '1 minute')`,
  )
  expect(await queue.outcomes.redeliverFailed()).toBe(1)
})
