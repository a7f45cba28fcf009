// Tests attempts in doubt with a real database and the simulator: each is found at Twilio or is certainly not there, and none
// is sent twice. No worker runs. delivery/find-attempt.test.ts and delivery/listed.test.ts test the decisions.
import { describe, expect, test } from '@jest/globals'
import { reconcile } from '../../src/messages/reconcile.ts'
import { AttemptRunner } from '../../src/messages/run-attempts.ts'
import type { ChaosChange } from '../../src/simulator/chaos.ts'
import { accept, type Answering, answerWith } from '../support/fake-twilio.ts'
import {
  jobsOf,
  newProcess,
  newTimedWorld,
  NOTHING,
  passForRows,
  runDue,
  sendWith,
} from '../support/timed-world.ts'
import { waitFor } from '../support/wait-for.ts'
import { message, newWorldWith, rowOf, rowsOf } from '../support/world-with.ts'

const LOST_ANSWERS = [
  ['the connection hangs and is cut', { hang: 1 }],
  ['it is cut in the middle of the answer', { reset: 1 }],
  ['the answer is 500', { serverErrorAfter: 1 }],
  ['the answer cannot be read', { garbage: 1 }],
] as const satisfies [string, ChaosChange][]

describe('an attempt in doubt that Twilio accepted', () => {
  test.each(LOST_ANSWERS)('is adopted, delivered and not sent twice: %s', async (_what, chaos) => {
    const world = await newTimedWorld({ callbackDelayMs: 300 })
    const deps = await newProcess(world)
    const id = await sendWith(world, chaos)
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'submitting', twilio_message_sid: null })
    await world.pass(45)
    expect(await reconcile(deps)).toEqual({ ...NOTHING, looked: 1, asked: 1, answered: 1 })
    const [post] = world.simulator.messages()
    expect(await rowOf(world, id)).toMatchObject({ twilio_message_sid: post?.sid, error_message: null })
    await world.simulator.idle()
    await world.pass(300)
    await reconcile(deps)
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'delivered', success: true, retry_count: 0 })
    expect(world.simulator.messages()).toHaveLength(1)
    expect(await jobsOf(world)).toEqual([])
  })

  test('is not searched for within 45 seconds', async () => {
    const world = await newTimedWorld()
    const id = await sendWith(world, { hang: 1 })
    await world.pass(40)
    expect(await reconcile(await newProcess(world))).toEqual(NOTHING)
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'submitting' })
  })

  test('is found even if the list has more messages than one page', async () => {
    const world = await newTimedWorld()
    const id = await sendWith(world, { hang: 1 }, { body: 'The oldest' })
    const others = Array.from({ length: 120 }, (_, i) => world.sender.send(message({ body: `Message ${i}` })))
    await Promise.all(others)
    await world.simulator.idle()
    await world.pass(45)
    expect(await reconcile(await newProcess(world))).toMatchObject({ looked: 1, answered: 1 })
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'delivered' })
    expect(world.simulator.messages()).toHaveLength(121)
  })

  test('is distinguished from another one with the same text whose sid is known', async () => {
    const world = await newTimedWorld()
    await world.sender.send(message())
    const id = await sendWith(world, { hang: 1 })
    await world.sender.send(message())
    await world.simulator.idle()
    await world.pass(45)
    expect(await reconcile(await newProcess(world))).toMatchObject({ looked: 1, answered: 1 })
    const sids = world.simulator.messages().map(({ sid }) => sid)
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'delivered', twilio_message_sid: sids[1] })
  })

  test('stays in doubt beside another one with the same text if Twilio has one of them', async () => {
    const world = await newTimedWorld()
    const deps = await newProcess(world)
    await sendWith(world, { hang: 1 })
    await sendWith(world, { hangBefore: 1 })
    await world.pass(45)
    expect(await reconcile(deps)).toEqual({ ...NOTHING, looked: 2, asked: 2, undecided: 2 })
    for (const row of await rowsOf(world)) {
      expect(row).toMatchObject({
        final_status: 'submitting',
        error_message: expect.stringMatching(/same text/),
      })
    }
    expect(await jobsOf(world)).toEqual([])
  })

  test('and listed as refused is retried or not, by the policy', async () => {
    const world = await newTimedWorld({ listRefused: true })
    const id = await sendWith(world, { reset: 1 }, { to: '+15552161001' })
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'submitting' })
    await world.pass(45)
    expect(await reconcile(await newProcess(world))).toMatchObject({ answered: 1 })
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'failed', success: false, retry_count: 0 })
    expect(await jobsOf(world)).toEqual([])
  })

  test('and listed as refused, beside an equal refusal, is resolved like the other one', async () => {
    const world = await newTimedWorld({ listRefused: true })
    const deps = await newProcess(world)
    const ids = [
      await sendWith(world, { reset: 1 }, { to: '+15552161101' }),
      await sendWith(world, { reset: 1 }, { to: '+15552161101' }),
    ]
    await world.pass(45)
    expect(await reconcile(deps)).toEqual({ ...NOTHING, looked: 2, asked: 2, answered: 2 })
    for (const id of ids) {
      const error_message = expect.stringMatching(/21611/)
      expect(await rowOf(world, id)).toMatchObject({
        final_status: 'retrying',
        retry_count: 1,
        error_message,
      })
    }
    expect(await jobsOf(world)).toEqual(ids.map(() => ({ state: 'created', attempt: 1, due: false })))
  })
})

describe('two attempts in doubt with the same text that failed in the same way', () => {
  test('are both resolved as refused, and not submitted again', async () => {
    const world = await newTimedWorld({ listRefused: true })
    const deps = await newProcess(world)
    const to = '+15552161001'
    const ids = [await sendWith(world, { reset: 1 }, { to })]
    await world.pass(10)
    ids.push(await sendWith(world, { reset: 1 }, { to }))
    await world.pass(36)
    expect(await reconcile(deps)).toMatchObject({ answered: 1 })
    await world.pass(10)
    expect(await reconcile(deps)).toMatchObject({ answered: 1 })
    for (const id of ids)
      expect(await rowOf(world, id)).toMatchObject({ final_status: 'failed', retry_count: 0 })
    expect(world.simulator.messages()).toHaveLength(2)
    expect(await jobsOf(world)).toEqual([])
  })
})

describe('an attempt in doubt that never reached Twilio', () => {
  test.each([
    ['the connection hangs and is cut', { hangBefore: 1 }],
    ['Twilio is overloaded', { unavailable: 1 }],
    ['the answer is 500', { serverError: 1 }],
  ])('is submitted again as the same attempt if %s', async (_what, chaos) => {
    const world = await newTimedWorld()
    const deps = await newProcess(world)
    const id = await sendWith(world, chaos)
    await world.pass(45)
    expect(await reconcile(deps)).toEqual({ ...NOTHING, looked: 1, asked: 1, absent: 1 })
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'pending', retry_count: 0, success: true })
    expect(await jobsOf(world)).toEqual([{ state: 'created', attempt: 0, due: true }])
    await runDue(world, deps, id, 0)
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'queued', retry_count: 0 })
    expect(world.simulator.submissionCounts().accepted).toBe(1)
    expect(world.simulator.messages()).toHaveLength(2)
  })

  test('is not submitted again if its message is no longer wanted', async () => {
    const world = await newTimedWorld()
    const id = await sendWith(world, { hangBefore: 1 }, { validForSeconds: 60 })
    await world.pass(45)
    await world.database.query(
      `update sms_usage_logs set sms_metadata = sms_metadata || '{"deadline": "2026-01-01T00:00:00.000Z"}'`,
    )
    await reconcile(await newProcess(world))
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'expired', success: false })
    expect(await jobsOf(world)).toEqual([])
  })
  test('is submitted again, and the answer to its first request does not affect the second', async () => {
    const answers: Answering[] = []
    const { world, twilio } = await newWorldWith(
      async (response, post) => {
        if (post.fields['Body'] === undefined) {
          const now = { Date: new Date().toUTCString() }
          return answerWith(200, { messages: [], next_page_uri: null }, now)(response, post)
        }
        const mine = twilio.posts.filter(({ fields }) => fields['Body'] !== undefined).indexOf(post)
        await waitFor(`the answer to request ${mine}`, () => answers[mine] !== undefined)
        return answers[mine]?.(response, post)
      },
      { RETRY_DELAY_SCALE: '1' },
    )
    const deps = await newProcess(world)
    const first = world.sender.send(message())
    await waitFor('the first request', () => twilio.posts.length === 1)
    await passForRows(world, 45)
    expect(await reconcile(deps)).toEqual({ ...NOTHING, looked: 1, asked: 1, absent: 1 })
    const [row] = await rowsOf(world)
    if (row === undefined) throw new Error('there is no row')
    const runner = new AttemptRunner(deps, 10, null)
    await runner.run([{ message: row.id, attempt: 0 }])
    await waitFor('the second request', () => twilio.posts.length === 3)
    answers[0] = answerWith(429, { code: 20429, message: 'Too many requests' })
    expect(await first).toEqual({ id: row.id, status: 'in_doubt' })
    expect(await rowOf(world, row.id)).toMatchObject({ final_status: 'submitting', next_retry_at: null })
    answers[1] = accept
    await runner.stop()
    expect(await rowOf(world, row.id)).toMatchObject({ final_status: 'queued', retry_count: 0 })
    expect(await jobsOf(world)).toHaveLength(1)
  })
})

test('a process that was suspended before it reads the list does not find an attempt absent', async () => {
  let aheadMs = 0
  const world = await newTimedWorld({ now: () => Date.now() + aheadMs })
  const id = await sendWith(world, { hang: 1 })
  aheadMs = 46_000
  await passForRows(world, 46)
  const deps = await newProcess(world)
  let sleptMs = 0
  const asleep: typeof deps = {
    ...deps,
    database: {
      ...deps.database,
      async executeSql<Row extends object>(text: string, values?: unknown[]) {
        const { rows } = await deps.database.executeSql<Row>(text, values)
        if (!text.startsWith('select clock_timestamp()')) return { rows }
        return { rows: rows.map((row) => ({ ...row, now: new Date(Date.now() + sleptMs) })) }
      },
    },
    twilio: {
      ...deps.twilio,
      list(to, maxAgeSeconds, signal) {
        sleptMs = 600_000
        aheadMs += sleptMs
        return deps.twilio.list(to, maxAgeSeconds, signal)
      },
    },
  }
  expect(await reconcile(asleep)).toEqual({ ...NOTHING, looked: 1, asked: 1, failed: 1 })
  expect(await rowOf(world, id)).toMatchObject({ final_status: 'submitting' })
  expect(world.simulator.messages()).toHaveLength(1)
})

test('an attempt of another account is neither looked up nor sent again', async () => {
  const world = await newTimedWorld()
  const id = await sendWith(world, { hang: 1 })
  await world.pass(45)
  const deps = await newProcess(world)
  const account = `AC${'9'.repeat(32)}`
  const asked: string[] = []
  const another: typeof deps = {
    ...deps,
    twilio: {
      ...deps.twilio,
      identity: { account, sender: '+12065550100' },
      list(to, maxAgeSeconds, signal) {
        asked.push(to)
        return deps.twilio.list(to, maxAgeSeconds, signal)
      },
    },
  }
  expect(await reconcile(another)).toEqual({ ...NOTHING, looked: 1 })
  expect(await rowOf(world, id)).toMatchObject({
    final_status: 'submitting',
    error_message: expect.stringContaining('but another account is configured'),
  })
  expect(asked).toEqual([])
  expect(world.simulator.messages()).toHaveLength(1)
})

test('an empty list proves nothing for a number that Twilio stores in another form', async () => {
  const world = await newTimedWorld()
  const id = await sendWith(world, { hang: 1 })
  // As the app may have written it.
  await world.database.query(`update sms_usage_logs set phone_number = '+4407700900103' where id = ${id}`)
  await world.pass(45)
  expect(await reconcile(await newProcess(world))).toEqual({ ...NOTHING, looked: 1, asked: 1, undecided: 1 })
  expect(await rowOf(world, id)).toMatchObject({
    final_status: 'submitting',
    error_message: expect.stringContaining('another form'),
  })
})
