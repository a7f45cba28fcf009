// Tests reconciling under load and faults: several processes, an unavailable or slow Twilio, invalid rows, a stop in between.
// reconcile-doubt.test.ts and reconcile-lost.test.ts test single messages.
import { describe, expect, test } from '@jest/globals'
import { type Reconciled, reconcile } from '../../src/messages/reconcile.ts'
import { runWorker } from '../../src/processes/worker.ts'
import { newSid } from '../support/callbacks.ts'
import { accept, answerWith, createdMessage, errorBody } from '../support/fake-twilio.ts'
import {
  counting,
  jobsOf,
  newProcess,
  newTimedWorld,
  NOTHING,
  passForRows,
  sendWith,
} from '../support/timed-world.ts'
import { waitFor } from '../support/wait-for.ts'
import { closeLater, message, newWorldWith, rowOf, rowsOf } from '../support/world-with.ts'

describe('several processes that reconcile at the same time', () => {
  test('look up each message once', async () => {
    const world = await newTimedWorld()
    for (let i = 0; i < 60; i += 1) {
      const to = `+1206555${1000 + i}`
      if (i % 2 === 0) await world.sender.send(message({ to }))
      else await sendWith(world, i % 4 === 1 ? { hang: 1 } : { hangBefore: 1 }, { to })
    }
    await world.simulator.idle()
    await world.pass(300)
    const processes = await Promise.all([1, 2, 3].map(async () => counting(await newProcess(world))))
    const sums = await Promise.all(processes.map(({ deps }) => reconcile(deps)))
    const asked = processes.flatMap((each) => each.asked)
    expect(asked).toHaveLength(60)
    expect(new Set(asked).size).toBe(60)
    const total = (of: keyof Reconciled): number => sums.reduce((sum, each) => sum + each[of], 0)
    expect([total('looked'), total('answered'), total('absent')]).toEqual([60, 45, 15])
    expect(await jobsOf(world)).toHaveLength(15)
  })
})

describe('while Twilio is unavailable', () => {
  test('only the time of the next check changes, and all messages are resolved later', async () => {
    const world = await newTimedWorld({ chaos: { lookupError: 1 } })
    const deps = await newProcess(world)
    const doubtful = await sendWith(world, { hang: 1 }, { to: '+12065550111' })
    const { id: accepted } = await world.sender.send(message())
    await world.simulator.idle()
    await world.pass(300)
    const before = await rowsOf(world)
    expect(await reconcile(deps)).toEqual({ ...NOTHING, looked: 2, asked: 2, failed: 2 })
    const after = await rowsOf(world)
    const later = { reconcile_at: expect.stringMatching(/^20.*Z$/) }
    expect(after).toEqual(before.map((row) => ({ ...row, sms_metadata: { ...row.sms_metadata, ...later } })))
    expect(await reconcile(deps)).toEqual(NOTHING)
    world.simulator.setChaos({ lookupError: 0 })
    await world.pass(600)
    expect(await reconcile(deps)).toMatchObject({ looked: 2, answered: 2 })
    expect(await rowOf(world, doubtful)).toMatchObject({ final_status: 'delivered' })
    expect(await rowOf(world, accepted)).toMatchObject({ final_status: 'delivered' })
    expect(world.simulator.messages()).toHaveLength(2)
  })
  test('no message is given up, even after three days', async () => {
    const world = await newTimedWorld({ chaos: { lookupError: 1 } })
    const deps = await newProcess(world)
    const doubtful = await sendWith(world, { hangBefore: 1 }, { to: '+12065550111' })
    const { id: accepted } = await world.sender.send(message())
    await world.simulator.idle()
    await world.pass(72 * 3600)
    expect(await reconcile(deps)).toEqual({ ...NOTHING, looked: 2, asked: 2, failed: 2 })
    await world.pass(900)
    expect(await reconcile(deps)).toMatchObject({ looked: 2, failed: 2 })
    world.simulator.setChaos({ lookupError: 0 })
    await world.pass(900)
    expect(await reconcile(deps)).toMatchObject({ looked: 2, answered: 1, absent: 1 })
    expect(await rowOf(world, doubtful)).toMatchObject({ final_status: 'pending' })
    expect(await rowOf(world, accepted)).toMatchObject({ final_status: 'delivered', error_message: null })
  })
})

describe('invalid rows do not block the others:', () => {
  test('an invalid time', async () => {
    const world = await newTimedWorld()
    const odd = await sendWith(world, { hang: 1 }, { to: '+12065550111' })
    const good = await sendWith(world, { hang: 1 })
    await world.simulator.idle()
    await world.pass(100)
    await world.database.query(
      `update sms_usage_logs
          set sms_metadata = jsonb_set(sms_metadata, '{attempts,0,times,submitting}', '"yesterday"')
        where id = $1`,
      [odd],
    )
    expect(await reconcile(await newProcess(world))).toMatchObject({ looked: 2, answered: 2 })
    for (const id of [odd, good]) expect(await rowOf(world, id)).toMatchObject({ final_status: 'delivered' })
  })

  test('a page of rows whose retry_count somebody changed', async () => {
    const world = await newTimedWorld()
    const deps = await newProcess(world)
    const id = await sendWith(world, { hang: 1 })
    await world.simulator.idle()
    await world.pass(100)
    await world.database.query(
      `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content,
                                   final_status, next_retry_at, success, retry_count, sms_metadata)
       select 1, '+12065550111', 'outbound', 5, 'Hello', 'retrying', now() - interval '1 hour', false, 2, $1
         from generate_series(1, 60)`,
      [{ reconcile_at: '2026-01-01T00:00:00.000Z', attempts: [{ number: 0, status: 'undelivered' }] }],
    )
    expect(await reconcile(deps)).toEqual({ ...NOTHING, looked: 61, asked: 1, answered: 1 })
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'delivered' })
    expect(await reconcile(deps)).toEqual(NOTHING)
  })
})

/** A time in Twilio's format, in whole seconds. */
const rfc2822 = (ms: number): string => new Date(ms).toUTCString().replace('GMT', '+0000')

test('an attempt is found in a list whose pages come slowly', async () => {
  let createdAfterMs = Number.NaN
  const sid = newSid()
  const { world } = await newWorldWith(
    async (response, post) => {
      if (post.fields['Body'] !== undefined) return void response.destroy()
      const nowMs = Date.now()
      const isFirst = !post.path.includes('Page=1')
      // Ages are in whole seconds, so the list agrees with the clock.
      const ageMs = Math.round((nowMs - createdAfterMs) / 1000) * 1000
      const entry = {
        ...createdMessage({ sid, status: 'sent' }),
        body: message().body,
        date_created: rfc2822(nowMs - ageMs),
      }
      const next = isFirst ? `${post.path.split('?')[0]}?Page=1` : null
      if (!isFirst) await waitFor('4 s', () => Date.now() - nowMs > 4_000)
      return answerWith(
        200,
        { messages: isFirst ? [entry] : [], next_page_uri: next },
        { Date: new Date(isFirst ? nowMs : Date.now()).toUTCString() },
      )(response, post)
    },
    { RETRY_DELAY_SCALE: '1' },
  )
  const { id } = await world.sender.send(message())
  await passForRows(world, 46)
  const [row] = await world.database.query<{ claimedAt: string }>(
    `select sms_metadata #>> '{attempts,0,times,submitting}' as "claimedAt" from sms_usage_logs`,
  )
  // Twilio can have accepted it up to 45 s after the claim.
  createdAfterMs = Date.parse(row?.claimedAt ?? '') + 45_000
  expect(await reconcile(await newProcess(world))).toMatchObject({ answered: 1 })
  expect(await rowOf(world, id)).toMatchObject({ final_status: 'sent', twilio_message_sid: sid })
})

test('an endless list with slow pages delays a sweep by half a minute at most', async () => {
  let pages = 0
  const { world } = await newWorldWith(
    async (response, post) => {
      if (post.fields['Body'] !== undefined) return void response.destroy()
      pages += 1
      const askedMs = Date.now()
      await waitFor('4 s', () => Date.now() - askedMs > 4_000)
      const next = `${post.path.split('?')[0]}?Page=1`
      const now = { Date: new Date().toUTCString() }
      return answerWith(200, { messages: [], next_page_uri: next }, now)(response, post)
    },
    { RETRY_DELAY_SCALE: '1' },
  )
  const { id } = await world.sender.send(message())
  await passForRows(world, 45)
  const sum = await reconcile(await newProcess(world))
  // Twenty seconds, at more than four a page.
  expect(pages).toBeLessThanOrEqual(5)
  expect(sum).toEqual({ ...NOTHING, looked: 1, asked: 1, failed: 1 })
  expect(await rowOf(world, id)).toMatchObject({ final_status: 'submitting' })
  const reasons = world.log.filter(({ level }) => level === 'warn').map(({ fields }) => fields['reason'])
  expect(reasons).toContain("Twilio's message list took too long")
})

describe('a process that stops while it reconciles', () => {
  test('starts no further lookups', async () => {
    let isStopping = false
    const { world, twilio } = await newWorldWith(
      async (response, post) => {
        if (post.fields['Body'] !== undefined) return accept(response, post)
        await waitFor('the stop', () => isStopping)
        return answerWith(404, errorBody(404, 20404, 'Not found'))(response, post)
      },
      { RETRY_DELAY_SCALE: '1' },
    )
    await Promise.all(Array.from({ length: 30 }, () => world.sender.send(message())))
    await passForRows(world, 300)
    const asked = (): number => twilio.posts.filter(({ fields }) => fields['Body'] === undefined).length
    const worker = await runWorker(world.openRuntime())
    closeLater(() => worker.stop())
    await waitFor('ten questions', () => asked() === 10)
    const stopped = worker.stop()
    isStopping = true
    await stopped
    expect(asked()).toBe(10)
  })

  test('stops reading a list, and finds no attempt absent', async () => {
    const stopping = new AbortController()
    const { world, twilio } = await newWorldWith(
      (response, post) => {
        if (post.fields['Body'] !== undefined) return response.destroy()
        stopping.abort()
        const next = `${post.path.split('?')[0]}?Page=1`
        const now = { Date: new Date().toUTCString() }
        return answerWith(200, { messages: [], next_page_uri: next }, now)(response, post)
      },
      { RETRY_DELAY_SCALE: '1' },
    )
    const { id } = await world.sender.send(message())
    await passForRows(world, 45)
    const result = await reconcile(await newProcess(world), stopping.signal)
    expect(result).toEqual({ ...NOTHING, looked: 1, asked: 1, failed: 1 })
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'submitting' })
    expect(twilio.posts).toHaveLength(2)
  })
})
