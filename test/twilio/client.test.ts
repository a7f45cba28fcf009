// Tests which of the four outcomes the Twilio client derives from an answer, with real HTTP servers, correct and broken ones.
// client-request.test.ts tests its requests.

import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { describe, expect, test } from '@jest/globals'
import type { Answer } from '../../src/delivery/message.ts'
import { CLOSED_PORT } from '../support/closed-port.ts'
import { createTwilioClient } from '../../src/twilio/client.ts'
import { type Answering, accept, answerWith, createdMessage, errorBody } from '../support/fake-twilio.ts'
import { closeLater, configOf, SUBMISSION, twilioThat } from './with-twilio.ts'

const SID = `SM${'5'.repeat(32)}`

const HALF_AN_ANSWER =
  'HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"sid": "SM'

function cutAfter(start: string): Answering {
  return (response) => response.socket?.write(start, () => response.destroy())
}

/** A server below HTTP, with direct access to the socket. */
async function serverThat(onConnection: (socket: Socket) => void): Promise<{ url: string }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    onConnection(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closeLater(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

function submitTo(url: string): Promise<Answer> {
  const client = createTwilioClient(configOf(url), 'https://sms.example.com')
  return client.submit(SUBMISSION).then(({ answer }) => answer)
}

async function submitToTwilioThat(answer: Answering): Promise<Answer> {
  const fake = await twilioThat(answer)
  const read = await submitTo(fake.url)
  // The client never retries, whatever the answer.
  expect(fake.posts).toHaveLength(1)
  return read
}

describe('a 2xx with a sid is accepted:', () => {
  test.each([
    ['queued', 'queued'],
    ['accepted', 'accepted'],
    ['scheduled', 'scheduled'],
    ['a status that Twilio may add', 'accepted'],
    [undefined, 'accepted'],
  ])('status %j is recorded as %s', async (status, recorded) => {
    const answer = await submitToTwilioThat(answerWith(201, createdMessage({ sid: SID, status })))
    expect(answer).toEqual({
      outcome: 'accepted',
      sid: SID,
      status: recorded,
      errorCode: null,
      errorText: null,
      billing: { segments: null, price: null },
    })
  })

  test('an error in the answer is kept', async () => {
    const body = createdMessage({
      sid: SID,
      status: 'failed',
      error_code: 30002,
      error_message: 'Suspended\0',
    })
    expect(await submitToTwilioThat(answerWith(201, body))).toEqual({
      outcome: 'accepted',
      sid: SID,
      status: 'failed',
      errorCode: 30002,
      errorText: 'Suspended',
      billing: { segments: null, price: null },
    })
  })

  test('the duration of the request is measured', async () => {
    const fake = await twilioThat(accept)
    const client = createTwilioClient(configOf(fake.url), 'https://sms.example.com')
    const { processingTimeMs } = await client.submit(SUBMISSION)
    expect(Number.isInteger(processingTimeMs)).toBe(true)
  })
})

describe('a refusal by Twilio is rejected:', () => {
  test.each([
    [400, errorBody(400, 21211, "Invalid 'To'"), 21211, "Invalid 'To'"],
    [404, errorBody(404, 20404, 'Not found'), 20404, 'Not found'],
    [403, errorBody(403, 20403, 'Forbidden'), 20403, 'Forbidden'],
    [401, errorBody(401, 20003, 'Authenticate'), 20003, 'Authenticate'],
    [429, errorBody(429, 63038, 'Daily limit'), 63038, 'Daily limit'],
    [429, errorBody(429, 14107, 'Message rate'), 14107, 'Message rate'],
  ])('HTTP %i with %j has code %j', async (status, body, errorCode, errorText) => {
    const answer = await submitToTwilioThat(answerWith(status, body))
    expect(answer).toEqual({ outcome: 'rejected', errorCode, errorText })
  })

  test('a text that PostgreSQL cannot store is cleaned, and a long text is truncated', async () => {
    const text = `a\0b\ud800${'x'.repeat(10_000)}`
    const answer = await submitToTwilioThat(answerWith(400, errorBody(400, 21211, text)))
    expect(answer).toMatchObject({ outcome: 'rejected', errorText: `ab\ufffd${'x'.repeat(497)}` })
  })
})

describe('a refusal by something in between is not processed:', () => {
  test.each<[number, unknown]>([
    [400, ''],
    [400, 'null'],
    [400, { code: 'none', message: 7 }],
    [400, { code: 21211 }],
    [400, { code: 40001, message: 'invalid token' }],
    [401, ''],
    [401, '<html>Unauthorized</html>'],
    [403, '<html>Blocked</html>'],
    [403, { code: 403, message: 'Forbidden', status: 403 }],
    [404, '<html>Not found</html>'],
    [407, '<html>Proxy authentication required</html>'],
    [413, '<html>Too large</html>'],
    [451, ''],
  ])('HTTP %i with %j, with its status as the reason', async (status, body) => {
    expect(await submitToTwilioThat(answerWith(status, body))).toEqual({
      outcome: 'not_processed',
      reason: `HTTP ${status} without a Twilio error code`,
      retryAfterSeconds: null,
    })
  })
})

describe('not processed, so safe to submit again, is', () => {
  const tooMany = errorBody(429, 20429, 'Too Many Requests')

  test.each([
    ['429 with Retry-After in seconds', answerWith(429, tooMany, { 'Retry-After': '7' }), 7],
    ['429 with Retry-After 0', answerWith(429, tooMany, { 'Retry-After': '0' }), 0],
    ['429 without Retry-After', answerWith(429, tooMany), null],
    ['429 with an invalid Retry-After', answerWith(429, tooMany, { 'Retry-After': 'soon' }), null],
    [
      '429 with a date that has passed',
      answerWith(429, tooMany, { 'Retry-After': new Date(0).toUTCString() }),
      0,
    ],
    ['429 without a body', answerWith(429, ''), null],
    ['429 of a proxy, in HTML', answerWith(429, '<html>', { 'Retry-After': '3' }), 3],
    ['code 20429 under another status', answerWith(400, tooMany, { 'Retry-After': '2' }), 2],
    ['code 20429 under a 5xx', answerWith(503, tooMany), null],
  ])('%s', async (_what, answering, retryAfterSeconds) => {
    const answer = await submitToTwilioThat(answering)
    expect(answer).toEqual({ outcome: 'not_processed', reason: 'too many requests', retryAfterSeconds })
  })

  test('429 with Retry-After as a date', async () => {
    const inTwoHours = new Date(Date.now() + 7_200_000).toUTCString()
    const answer = await submitToTwilioThat(answerWith(429, tooMany, { 'Retry-After': inTwoHours }))
    if (answer.outcome !== 'not_processed') throw new Error(`not processed, not ${answer.outcome}`)
    // The date is in whole seconds, and the test takes some time.
    expect(answer.retryAfterSeconds).toBeGreaterThan(7_000)
    expect(answer.retryAfterSeconds).toBeLessThanOrEqual(7_200)
  })

  test('a refused connection', async () => {
    const answer = await submitTo(`http://127.0.0.1:${CLOSED_PORT}`)
    expect(answer).toMatchObject({ outcome: 'not_processed', retryAfterSeconds: null })
  })

  test('a connection that every address of the host refuses', async () => {
    const answer = await submitTo(`http://localhost:${CLOSED_PORT}`)
    expect(answer).toMatchObject({ outcome: 'not_processed', retryAfterSeconds: null })
  })

  test('a host that does not exist', async () => {
    const answer = await submitTo('http://twilio.invalid')
    expect(answer).toMatchObject({ outcome: 'not_processed', retryAfterSeconds: null })
  })
})

describe('unknown, because Twilio may have the message, is', () => {
  const html = { 'Content-Type': 'text/html' }

  test.each<[string, Answering]>([
    ['201 without a sid', answerWith(201, createdMessage({ sid: undefined }))],
    ['201 with an invalid sid', answerWith(201, createdMessage({ sid: 'SM1' }))],
    ['201 with garbage', answerWith(201, '{"sid": "SM')],
    ['201 with HTML', answerWith(201, '<html>Created</html>', html)],
    ['201 without a body', answerWith(201, '')],
    ['201 with null', answerWith(201, 'null')],
    ['201 with a list', answerWith(201, [])],
    ['204', answerWith(204, '')],
    ['302', answerWith(302, '', { Location: '/elsewhere' })],
    ['307, which would repeat the POST', answerWith(307, '', { Location: '/elsewhere' })],
    ['304', answerWith(304, '')],
    ['408', answerWith(408, '')],
    ['500 in HTML', answerWith(500, '<html>Internal error</html>', html)],
    ['500 without a body', answerWith(500, '')],
    ['500 with code 20500', answerWith(500, errorBody(500, 20500, 'Internal error'))],
    ['502', answerWith(502, '<html>Bad gateway</html>', html)],
    ['503 with code 20503', answerWith(503, errorBody(503, 20503, 'Not available'))],
    ['503 with Retry-After', answerWith(503, '', { 'Retry-After': '5' })],
    ['504', answerWith(504, '')],
    ['a connection that closes before the answer', (response) => response.destroy()],
    ['a connection that closes during the headers', cutAfter('HTTP/1.1 201 Cre')],
    ['a connection that closes during the body', cutAfter(HALF_AN_ANSWER)],
    ['a connection that is reset', (response) => response.socket?.resetAndDestroy()],
    ['an answer that is not HTTP', cutAfter('220 smtp.example.com ESMTP\r\n\r\n')],
  ])('%s', async (_what, answering) => {
    const answer = await submitToTwilioThat(answering)
    expect(answer).toEqual({ outcome: 'unknown', reason: expect.stringMatching(/\S/) })
  })

  test('a request that times out: without an answer, unread, or with an endless answer', async () => {
    const accepted = await twilioThat(() => undefined)
    const deaf = await serverThat((socket) => socket.pause())
    const trickling = await serverThat((socket) => {
      socket.write('HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n\r\n{')
      const drip = setInterval(() => socket.write(' '), 500)
      socket.once('close', () => clearInterval(drip))
    })
    const answers = await Promise.all([accepted, deaf, trickling].map(({ url }) => submitTo(url)))
    expect(answers.map(({ outcome }) => outcome)).toEqual(['unknown', 'unknown', 'unknown'])
    // No layer below retries.
    expect(accepted.posts).toHaveLength(1)
  })
})

describe('submit() never rejects, and accepts', () => {
  test.each([
    ['an error_message that is no string', { error_message: 42 }],
    ['an error_code that is no number', { error_code: 'none' }],
    ['a status that is no string', { status: { is: 'queued' } }],
    ['invalid dates', { date_created: 17, date_sent: 'yesterday' }],
  ])('a message with %s', async (_what, oddity) => {
    const answer = await submitToTwilioThat(answerWith(201, createdMessage({ sid: SID, ...oddity })))
    expect(answer).toMatchObject({ outcome: 'accepted', sid: SID, errorCode: null })
  })
})
