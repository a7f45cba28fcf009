// Tests lost jobs and lost callbacks with a real database and the simulator: no message is forgotten.
// delivery/reconcile-time.test.ts and delivery/reconcile.test.ts test the decisions.
import { describe, expect, test } from '@jest/globals'
import { planReconcile, reconcile } from '../../src/messages/reconcile.ts'
import { counting, jobsOf, newProcess, newTimedWorld, NOTHING, runDue } from '../support/timed-world.ts'
import { waitFor } from '../support/wait-for.ts'
import type { World } from '../support/world.ts'
import { appClient, message, rowOf, rowsOf } from '../support/world-with.ts'

describe('a due attempt whose job is lost', () => {
  test.each([
    ['deleted', 'delete from sms_retry_pgboss.job'],
    ['completed without effect', `update sms_retry_pgboss.job set state = 'completed', completed_on = now()`],
  ])('is still made: %s', async (_what, loseJob) => {
    const world = await newTimedWorld({ chaos: { dropCallbacks: 0 } })
    const { id } = await world.sender.enqueue(message(), { db: await appClient(world) })
    await world.database.query(loseJob)
    await world.pass(25)
    expect(await reconcile(await newProcess(world))).toEqual(NOTHING)
    await world.pass(5)
    expect(await reconcile(await newProcess(world))).toEqual({ ...NOTHING, looked: 1, rungAgain: 1 })
    expect(await jobsOf(world)).toEqual([{ state: 'created', attempt: 0, due: true }])
    await world.startWorker()
    await waitFor('the delivery', async () => (await rowOf(world, id)).final_status === 'delivered')
    expect(world.simulator.messages()).toHaveLength(1)
  })

  test('keeps its number if it is a retry, and is not made early', async () => {
    const world = await newTimedWorld({ chaos: { dropCallbacks: 0 } })
    const { id } = await world.sender.send(message({ to: '+15553000301' }))
    await waitFor('the failure', async () => (await rowOf(world, id)).final_status === 'retrying')
    await world.database.query('delete from sms_retry_pgboss.job')
    const deps = await newProcess(world)
    await world.pass(60)
    expect(await reconcile(deps)).toEqual(NOTHING)
    expect(await jobsOf(world)).toEqual([])
    await world.pass(600)
    expect(await reconcile(deps)).toMatchObject({ rungAgain: 1 })
    expect(await jobsOf(world)).toEqual([{ state: 'created', attempt: 1, due: true }])
    await runDue(world, deps, id, 1)
    await waitFor('the delivery', async () => (await rowOf(world, id)).final_status === 'delivered')
    expect(await rowOf(world, id)).toMatchObject({ retry_count: 1 })
    expect(world.simulator.messages()).toHaveLength(2)
  })
})

describe('waiting rows of the app', () => {
  const insert = ({ database }: World, ago: string): Promise<object[]> =>
    database.query(
      `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content,
                                   final_status, next_retry_at, success, retry_count, error_message, created_at)
       values (1, '+12065550199', 'outbound', 5, 'Hello', 'retrying', now() - $1::interval, false, 1,
               'carrier busy', now() at time zone 'UTC' - $1::interval)`,
      [ago],
    )

  test('from days ago are set aside, and are otherwise unchanged', async () => {
    const world = await newTimedWorld()
    const deps = await newProcess(world)
    await insert(world, '73 hours')
    const [before] = await rowsOf(world)
    expect(await reconcile(deps)).toEqual({ ...NOTHING, looked: 1 })
    expect(await jobsOf(world)).toEqual([])
    const left = { reconcile_at: '9999-12-31T00:00:00.000Z' }
    expect(await rowsOf(world)).toEqual([{ ...before, sms_metadata: expect.objectContaining(left) }])
    expect(await reconcile(deps)).toEqual(NOTHING)
  })

  test('that are recent get a job', async () => {
    const world = await newTimedWorld()
    await insert(world, '71 hours')
    expect(await reconcile(await newProcess(world))).toEqual({ ...NOTHING, looked: 1, rungAgain: 1 })
    expect(await jobsOf(world)).toEqual([{ state: 'created', attempt: 1, due: true }])
  })
})

describe('a message whose callbacks were lost', () => {
  test.each([
    ['delivered', '+12065550199', { final_status: 'delivered', success: true }, []],
    [
      'undelivered, to be retried',
      '+15553000301',
      { final_status: 'retrying', success: false, retry_count: 1 },
      [{ state: 'created', attempt: 1, due: false }],
    ],
    ['undelivered, for good', '+15553000701', { final_status: 'undelivered', success: false }, []],
  ])('gets its final status %s', async (_what, to, row, jobs) => {
    const world = await newTimedWorld()
    const deps = await newProcess(world)
    const { id } = await world.sender.send(message({ to }))
    await world.simulator.idle()
    await world.pass(280)
    expect(await reconcile(deps)).toEqual(NOTHING)
    await world.pass(20)
    expect(await reconcile(deps)).toEqual({ ...NOTHING, looked: 1, asked: 1, answered: 1 })
    expect(await rowOf(world, id)).toMatchObject(row)
    expect(await jobsOf(world)).toEqual(jobs)
    expect(await reconcile(deps)).toEqual(NOTHING)
  })

  test('is looked up again 15 minutes after a failed lookup, and after doubling pauses otherwise', async () => {
    const world = await newTimedWorld({ callbackDelayMs: 600_000, chaos: { lookupError: 1 } })
    const deps = await newProcess(world)
    const { id } = await world.sender.send(message())
    await world.pass(4_000)
    expect(await reconcile(deps)).toEqual({ ...NOTHING, looked: 1, asked: 1, failed: 1 })
    world.simulator.setChaos({ lookupError: 0 })
    await world.pass(890)
    expect(await reconcile(deps)).toEqual(NOTHING)
    await world.pass(10)
    expect(await reconcile(deps)).toEqual({ ...NOTHING, looked: 1, asked: 1, answered: 1 })
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'queued' })
    await world.pass(4_890)
    expect(await reconcile(deps)).toEqual(NOTHING)
    await world.pass(20)
    expect(await reconcile(deps)).toEqual({ ...NOTHING, looked: 1, asked: 1, answered: 1 })
  })

  test('keeps its status if Twilio no longer has it, and is not checked after three days', async () => {
    const world = await newTimedWorld({ maxKept: 1 })
    const { id } = await world.sender.send(message())
    await world.sender.send(message({ to: '+12065550111' }))
    await world.simulator.idle()
    await world.pass(300)
    const deps = await newProcess(world)
    expect(await reconcile(deps)).toEqual({ ...NOTHING, looked: 2, asked: 2, answered: 2 })
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'queued', error_message: null })
    await world.pass(72 * 3600)
    expect(await reconcile(deps)).toMatchObject({ looked: 1, asked: 1, answered: 1 })
    expect(await rowOf(world, id)).toMatchObject({
      final_status: 'queued',
      error_message: expect.stringMatching(/three days/),
    })
    await world.pass(72 * 3600)
    expect(await reconcile(deps)).toEqual(NOTHING)
  })
})

describe('planReconcile', () => {
  test('returns what a sweep would do, and changes nothing', async () => {
    const world = await newTimedWorld({ chaos: { hang: 1 } })
    const { id: doubtful } = await world.sender.send(message())
    world.simulator.setChaos({ hang: 0 })
    const { id: accepted } = await world.sender.send(message())
    const { id: waiting } = await world.sender.enqueue(message(), { db: await appClient(world) })
    await world.pass(300)
    const { id: inTime } = await world.sender.send(message())
    const stored = (): Promise<object[]> =>
      world.database.query(
        `select id, xmin::text, ctid::text, sms_metadata from sms_usage_logs
         union all select 0, xmin::text, ctid::text, data from sms_retry_pgboss.job order by 1`,
      )
    const before = await stored()
    const { deps, asked } = counting(await newProcess(world))
    const plans = await planReconcile(deps, 10)
    expect(plans.toSorted((one, other) => one.messageId - other.messageId)).toEqual([
      { messageId: doubtful, attempt: 0, status: 'submitting', plan: "look for it in Twilio's list" },
      { messageId: accepted, attempt: 0, status: 'queued', plan: 'ask Twilio for its status' },
      { messageId: waiting, attempt: 0, status: 'pending', plan: 'reschedule its job, if it is gone' },
    ])
    expect(plans.some(({ messageId }) => messageId === inTime)).toBe(false)
    expect(await planReconcile(deps, 2)).toHaveLength(2)
    expect(await stored()).toEqual(before)
    expect(asked).toEqual([])
  })
})
