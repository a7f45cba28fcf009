// Tests rows whose id is reused after a restore, a truncate with restart identity or a failover: events of the previous
// message must not change the current one.
import { describe, expect, test } from '@jest/globals'
import type { SendResult } from '../../src/messages/send-message.ts'
import { callbackFields, newSid, postSigned } from '../support/callbacks.ts'
import { accept, type Answering, type FakeTwilio } from '../support/fake-twilio.ts'
import { waitFor } from '../support/wait-for.ts'
import type { World } from '../support/world.ts'
import { jobCount, message, newWorld, newWorldWith, rowOf, rowsOf } from '../support/world-with.ts'

const OLD = '+12065550111'
const NEW = '+12065550122'

interface Callback {
  /** The URL that was given to Twilio. */
  readonly url: string
  readonly to: string
  readonly sid: string
  readonly status: string
  readonly code?: string
}

/** The status callback's URL of the last request to Twilio, without the fragment. */
function lastUrl({ posts }: FakeTwilio): string {
  return (posts.at(-1)?.fields['StatusCallback'] ?? '').replace(/#.*$/, '')
}

async function call(world: World, { url, to, sid, status, code }: Callback): Promise<number> {
  const { accountSid, authToken } = world.simulator
  const extra = { To: to, ...(code === undefined ? {} : { ErrorCode: code }) }
  const { pathname, search } = new URL(url)
  const fields = callbackFields(accountSid, sid, status, extra)
  const response = await postSigned(authToken, world.web.url + pathname + search, fields)
  await response.arrayBuffer()
  return response.status
}

const forget = (world: World): Promise<unknown> =>
  world.database.query('truncate sms_usage_logs restart identity')

const strangersIn = ({ log }: World): object[] =>
  log.filter(({ message: text }) => text === 'Status callback for an unknown message')

async function sendOldThenNew(answer: Answering, to = OLD) {
  const { world, twilio } = await newWorldWith(answer)
  const old = await world.sender.send(message({ to: OLD }))
  const url = lastUrl(twilio)
  await forget(world)
  const sending = world.sender.send(message({ to }))
  await waitFor('the new request', () => twilio.posts.length === 2)
  return { world, twilio, old, url, sending }
}

describe('a callback with the key of an earlier message with the same id', () => {
  test.each([
    ['another number', NEW],
    ['the same number', OLD],
  ])('does not change the new message, which has %s and is retried when it fails', async (_what, to) => {
    const { world, twilio, old, url, sending } = await sendOldThenNew(accept, to)
    const { id, sid } = (await sending) as SendResult & { sid: string }
    expect(id).toBe(old.id)
    expect(await call(world, { url, to: OLD, sid: `${old.sid}`, status: 'delivered' })).toBe(204)
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'queued', twilio_message_sid: sid })
    expect(strangersIn(world)).toHaveLength(1)
    const failure = { url: lastUrl(twilio), to, sid, status: 'undelivered', code: '30003' }
    expect(await call(world, failure)).toBe(204)
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'retrying', retry_count: 1 })
  })

  test('does not resend the new message while its request is running', async () => {
    const { answer, release } = holdBack(2)
    const { world, old, url, sending } = await sendOldThenNew(answer)
    const failure = { url, to: OLD, sid: `${old.sid}`, status: 'undelivered', code: '30003' }
    expect(await call(world, failure)).toBe(204)
    expect(await rowOf(world, old.id)).toMatchObject({ final_status: 'submitting', retry_count: 0 })
    expect(await jobCount(world)).toBe(0)
    release()
    expect(await sending).toMatchObject({ id: old.id, status: 'accepted' })
  })
})

/** Accepts everything, but delays its answer to request `number` (from 1) until it is released. */
function holdBack(number: number): { readonly answer: Answering; release(): void } {
  let requests = 0
  let release = (): void => undefined
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const answer: Answering = async (response, post) => {
    requests += 1
    if (requests === number) await released
    await accept(response, post)
  }
  return { answer, release }
}

test("Twilio's answer to a deleted message is not recorded for a new message with its id", async () => {
  const { answer, release } = holdBack(1)
  const { world, twilio } = await newWorldWith(answer)
  const old = world.sender.send(message({ to: OLD }))
  await waitFor('its request', () => twilio.posts.length === 1)
  await forget(world)
  const { id, sid } = await world.sender.send(message({ to: NEW }))
  release()
  expect(await old).toEqual({ id, status: 'in_doubt' })
  const [row, ...others] = await rowsOf(world)
  expect(others).toEqual([])
  expect(row).toMatchObject({ id, final_status: 'queued', twilio_message_sid: sid })
  expect(row?.sms_metadata.attempts).toMatchObject([{ number: 0, sid }])
})

describe('a callback of a version without keys', () => {
  test.each([
    ['the same number', OLD, 'delivered', 0],
    ['the same number in the form of a channel', 'whatsapp:+12065550111', 'delivered', 0],
    ['another number', NEW, 'queued', 1],
  ])('with %s leaves the message %s', async (_what, to, status, strangers) => {
    const { world } = await newWorldWith(accept)
    const { id } = await world.sender.send(message({ to: OLD }))
    const url = `${world.env['PUBLIC_BASE_URL']}/twilio/status?message=${id}&attempt=0`
    // A sid that the row does not have: the answer to the request may still be coming.
    expect(await call(world, { url, to, sid: newSid(), status: 'delivered' })).toBe(204)
    expect(await rowOf(world, id)).toMatchObject({ final_status: status })
    expect(strangersIn(world)).toHaveLength(strangers)
  })
})

test('a message whose key the app overwrote is matched by its number', async () => {
  const { world, twilio } = await newWorldWith(accept)
  const { id, sid } = await world.sender.send(message({ to: OLD }))
  await world.database.query(`update sms_usage_logs set sms_metadata = '{}'`)
  const url = lastUrl(twilio)
  expect(await call(world, { url, to: OLD, sid: `${sid}`, status: 'delivered' })).toBe(204)
  expect(await rowOf(world, id)).toMatchObject({ final_status: 'delivered' })
})

test('a row that the app wrote is matched by its number, whatever the key in the URL', async () => {
  const world = await newWorld()
  const [row] = await world.database.query<{ id: number }>(
    `insert into sms_usage_logs
       (user_id, phone_number, message_direction, message_length, message_content, twilio_message_sid)
     values (7, '(206) 555-0111', 'outbound', 5, 'Hello', null) returning id`,
  )
  const id = row?.id ?? 0
  await world.database.query(`update sms_usage_logs set final_status = 'submitting' where id = $1`, [id])
  const base = `${world.env['PUBLIC_BASE_URL']}/twilio/status?attempt=0&key=key_of-message_9&message=${id}`
  await call(world, { url: base, to: NEW, sid: newSid(), status: 'delivered' })
  expect(await rowOf(world, id)).toMatchObject({ final_status: 'submitting' })
  await call(world, { url: base, to: OLD, sid: newSid(), status: 'delivered' })
  expect(await rowOf(world, id)).toMatchObject({ final_status: 'delivered' })
})
