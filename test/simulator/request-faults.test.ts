// What a client and the simulator see of each fault of a POST. 429, 500 and hang are tested in chaos.test.ts, faults of
// GETs and several faults for one request in fault-precedence.test.ts.
import { connect } from 'node:net'
import { describe, expect, test } from '@jest/globals'
import type { ChaosChange } from '../../src/simulator/chaos.ts'
import type { Simulator } from '../../src/simulator/simulator.ts'
import { waitFor } from './start-receiver.ts'
import { basicAuth, clientOf, FROM, postForm, receive, rejectionOf, simulate, TO } from './with-simulator.ts'

const REFUSED = '+15552161001'
const NAMED = (url: string) => `${url}/status?message=7&attempt=0`

/** Unlike postForm, expects no JSON. */
function post({ url, accountSid, authToken }: Simulator, fields: Record<string, string>): Promise<Response> {
  return fetch(`${url}/2010-04-01/Accounts/${accountSid}/Messages.json`, {
    method: 'POST',
    headers: { Authorization: basicAuth(accountSid, authToken) },
    body: new URLSearchParams(fields),
  })
}

/**
 * Returns all bytes received until the connection ends, including the head. Sends a second request when the first bytes
 * arrive: a connection that stays open would answer it as well.
 */
function rawPost(simulator: Simulator, fields: Record<string, string>): Promise<string> {
  const body = String(new URLSearchParams(fields))
  const head = [
    `POST /2010-04-01/Accounts/${simulator.accountSid}/Messages.json HTTP/1.1`,
    'Host: simulator',
    `Authorization: ${basicAuth(simulator.accountSid, simulator.authToken)}`,
    'Content-Type: application/x-www-form-urlencoded',
    `Content-Length: ${body.length}`,
  ]
  return new Promise((resolve) => {
    let text = ''
    const socket = connect(simulator.port, '127.0.0.1')
    const ask = () => socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
    socket.setEncoding('utf8')
    socket.once('connect', ask)
    socket.once('data', ask)
    socket.on('data', (part) => {
      text += part
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(text))
  })
}

describe('faults of POSTs that are not processed', () => {
  test.each<[name: keyof ChaosChange, answer: string, error: object]>([
    ['unavailable', 'unavailable', { status: 503 }],
    ['proxyPage', 'proxy_page', { status: expect.any(Number) }],
    ['hangBefore', 'hung_before', { code: 'ECONNRESET' }],
    ['closeBefore', 'closed_before', { code: 'ECONNRESET' }],
  ])('%s creates nothing, and the attempt does not count', async (name, answer, error) => {
    const receiver = await receive()
    const { simulator, client } = await simulate({ chaos: { [name]: 1 }, hangMs: 50, listRefused: true })
    const create = () =>
      client.messages.create({ to: '+15553000101', from: FROM, body: 'Hello', statusCallback: receiver.url })
    expect(await rejectionOf(create())).toMatchObject(error)
    await simulator.idle()
    expect(receiver.received).toEqual([])
    expect(await client.messages.list()).toEqual([])
    expect(simulator.messages()).toMatchObject([{ answer, attempt: null, status: 'queued' }])

    simulator.setChaos({ [name]: 0 })
    const { sid } = await create()
    await simulator.idle()
    expect((await client.messages(sid).fetch()).status).toBe('failed')
    expect(simulator.messages()[1]).toMatchObject({ answer: 'accepted', attempt: 0 })
    expect(simulator.submissionCounts()).toMatchObject({ accepted: 1, [answer]: 1, hung: 0 })
  })

  test('unavailable answers with 503 in HTML', async () => {
    const { simulator } = await simulate({ chaos: { unavailable: 1 } })
    const response = await post(simulator, { To: TO, From: FROM, Body: 'Hello' })
    expect(response.status).toBe(503)
    expect(response.headers.get('content-type')).toMatch(/^text\/html/)
    expect(await response.text()).toMatch(/^<!doctype html>/)
  })

  test('proxyPage answers with 403, 404 or 407 in HTML, and 407 asks for credentials', async () => {
    const { simulator } = await simulate({ chaos: { proxyPage: 1 }, keepAliveMs: 1 })
    const pages = new Set<string>()
    for (let index = 0; index < 20; index += 1) {
      const text = await rawPost(simulator, { To: TO, From: FROM, Body: `${index}` })
      const [head = '', body = ''] = text.split('\r\n\r\n')
      expect(body).toMatch(/^<!doctype html>/)
      pages.add(`${head.split(' ')[1]} ${/proxy-authenticate: (.*)/i.exec(head)?.[1] ?? ''}`)
    }
    expect([...pages].toSorted()).toEqual(['403 ', '404 ', '407 Basic realm="proxy"'])
  })

  test('hangBefore holds the request until the client gives up', async () => {
    const { simulator } = await simulate({ chaos: { hangBefore: 1 } })
    const hasty = clientOf(simulator, { timeout: 200 })
    const rejection = await rejectionOf(hasty.messages.create({ to: TO, from: FROM, body: 'Hello' }))
    expect(rejection).toMatchObject({ code: 'ECONNABORTED' })
  })
})

describe('faults of POSTs that are accepted', () => {
  test.each<[name: keyof ChaosChange, answer: string, error: object]>([
    ['reset', 'reset', { message: expect.stringMatching(/abort|hang up|reset/i) }],
    ['serverErrorAfter', 'server_error_after', { status: 500, code: 20500 }],
  ])('%s creates the message and sends callbacks, but the client gets no sid', async (name, answer, error) => {
    const receiver = await receive()
    const { simulator, client } = await simulate({ chaos: { [name]: 1 } })
    const create = client.messages.create({
      to: TO,
      from: FROM,
      body: 'Hello',
      statusCallback: NAMED(receiver.url),
    })
    expect(await rejectionOf(create)).toMatchObject(error)
    await simulator.idle()
    expect(receiver.statuses().sort()).toEqual(['delivered', 'sent'])
    expect(simulator.messages()).toMatchObject([{ answer, attempt: 0, message: '7', status: 'delivered' }])
    expect(await client.messages.list({ to: TO })).toHaveLength(1)
    expect(simulator.submissionCounts()).toMatchObject({ [answer]: 1, accepted: 0 })
  })

  test('reset closes the connection within the body of the 201', async () => {
    const { simulator } = await simulate({ chaos: { reset: 1 } })
    const text = await rawPost(simulator, { To: TO, From: FROM, Body: 'Hello' })
    expectHalf(text, 201)
    expect(simulator.submissionCounts()).toMatchObject({ reset: 1, refused_reset: 0 })
  })

  test('drip writes the 201 one byte at a time, and callbacks do not wait for it', async () => {
    const receiver = await receive()
    const { simulator } = await simulate({ chaos: { drip: 1 } })
    const response = await post(simulator, {
      To: TO,
      From: FROM,
      Body: 'Hello',
      StatusCallback: NAMED(receiver.url),
    })
    await waitFor('both callbacks', () => receiver.received.length === 2)
    const reader = response.body?.getReader()
    const first = await reader?.read()
    const second = await reader?.read()
    await reader?.cancel()
    expect([response.status, first?.value?.length, second?.value?.length]).toEqual([201, 1, 1])
    expect(simulator.messages()).toMatchObject([{ answer: 'dripped', status: 'delivered' }])
  })

  test('slow writes the 201 after slowMs, and callbacks do not wait for it', async () => {
    const receiver = await receive()
    const { simulator, client } = await simulate({ chaos: { slow: 1 }, slowMs: 600 })
    const startedMs = performance.now()
    let answeredMs = 0
    const creating = client.messages
      .create({ to: TO, from: FROM, body: 'Hello', statusCallback: NAMED(receiver.url) })
      .finally(() => {
        answeredMs = performance.now()
      })
    await waitFor('both callbacks', () => receiver.received.length === 2)
    expect(answeredMs).toBe(0)
    const message = await creating
    // The answer has the status at the time of acceptance.
    expect(message).toMatchObject({ sid: simulator.messages()[0]?.sid, status: 'queued' })
    // By another clock, a timer may fire a millisecond early.
    expect(answeredMs - startedMs).toBeGreaterThan(595)
    expect(simulator.messages()).toMatchObject([{ answer: 'slow', status: 'delivered' }])
  })

  test('garbage answers in four ways, none with a valid sid', async () => {
    const { simulator, client } = await simulate({ chaos: { garbage: 1 } })
    const kinds = new Set<string>()
    for (let index = 0; index < 40; index += 1) {
      const response = await post(simulator, { To: TO, From: FROM, Body: `${index}` })
      expect(response.status).toBe(201)
      const text = await response.text()
      expect(text).not.toMatch(/"sid":"(SM|MM)[0-9a-f]{32}"/)
      const type = response.headers.get('content-type') ?? ''
      if (text === '') kinds.add('empty')
      else if (type.startsWith('text/html')) kinds.add(text.startsWith('<!doctype html>') ? 'html' : text)
      else if (text === '{}') kinds.add('no sid')
      else kinds.add(JSON.parse(text).sid === 'SM-not-a-sid' ? 'wrong sid' : text)
    }
    expect([...kinds].sort()).toEqual(['empty', 'html', 'no sid', 'wrong sid'])
    await simulator.idle()
    expect(simulator.submissionCounts()).toMatchObject({ garbage: 40, accepted: 0 })
    expect(await client.messages.list({ to: TO })).toHaveLength(40)
    expect(simulator.messages().every(({ status }) => status === 'delivered')).toBe(true)
  })

  test('each counts as a submission of its attempt', async () => {
    const { simulator } = await simulate({ hangMs: 1, slowMs: 1 })
    const submit = () =>
      postForm(simulator, {
        To: TO,
        From: FROM,
        Body: 'Hello',
        StatusCallback: NAMED('http://127.0.0.1:9'),
      }).catch(() => 'no answer that can be read')
    await submit()
    for (const name of ['hang', 'reset', 'serverErrorAfter', 'garbage', 'slow'] as const) {
      simulator.setChaos({ [name]: 1 })
      await submit()
      simulator.setChaos({ [name]: 0 })
    }
    for (const name of [
      'rateLimit',
      'unavailable',
      'serverError',
      'proxyPage',
      'hangBefore',
      'closeBefore',
    ] as const) {
      simulator.setChaos({ [name]: 1 })
      await submit()
      simulator.setChaos({ [name]: 0 })
    }
    const created = simulator.messages().slice(0, 6)
    expect(created.map(({ answer }) => answer)).toEqual([
      'accepted',
      'hung',
      'reset',
      'server_error_after',
      'garbage',
      'slow',
    ])
    const sids = created.map(({ sid }) => sid)
    expect(simulator.doubleSubmissions()).toEqual([{ message: '7', attempt: 0, sids }])
  })
})

describe('a POST that the number scheme refuses', () => {
  test('with reset gets half of the refusal, and does not count as created', async () => {
    const { simulator, client } = await simulate({ chaos: { reset: 1 } })
    const text = await rawPost(simulator, { To: REFUSED, From: FROM, Body: 'Hello' })
    expectHalf(text, 400)
    expect(simulator.messages()).toMatchObject([
      { answer: 'refused_reset', status: 'failed', error_code: 21610 },
    ])
    expect(await client.messages.list()).toEqual([])
    expect(simulator.doubleSubmissions()).toEqual([])
  })

  test('with reset is listed if refused messages are listed', async () => {
    const { simulator, client } = await simulate({ chaos: { reset: 1 }, listRefused: true })
    await rawPost(simulator, { To: REFUSED, From: FROM, Body: 'Hello' })
    expect(await client.messages.list()).toMatchObject([{ status: 'failed', errorCode: 21610 }])
  })

  test.each([
    'hang',
    'serverErrorAfter',
    'garbage',
    'slow',
  ] as const)('%s does not change the refusal, because nothing was accepted', async (name) => {
    const { simulator } = await simulate({ chaos: { [name]: 1 } })
    const { status, body } = await postForm(simulator, { To: REFUSED, From: FROM, Body: 'Hello' })
    expect([status, body.code]).toEqual([400, 21610])
    expect(simulator.messages()).toMatchObject([{ answer: 'refused' }])
  })
})

test('the inbox shows the fault of each message', async () => {
  const { simulator } = await simulate({ hangMs: 1, slowMs: 1 })
  for (const name of [
    'unavailable',
    'proxyPage',
    'hangBefore',
    'closeBefore',
    'hang',
    'reset',
    'serverErrorAfter',
    'garbage',
    'slow',
  ] as const) {
    simulator.setChaos({ [name]: 1 })
    await postForm(simulator, { To: TO, From: FROM, Body: name }).catch(() => 'no answer that can be read')
    simulator.setChaos({ [name]: 0 })
  }
  simulator.setChaos({ reset: 1 })
  await rawPost(simulator, { To: REFUSED, From: FROM, Body: 'refused' })
  await simulator.idle()
  const text = await (await fetch(`${simulator.url}/inbox`)).text()
  for (const words of [
    'not processed: 503 by chaos',
    'not processed: proxy page by chaos',
    'not processed: no answer by chaos',
    'not processed: connection closed by chaos',
    'delivered · no answer',
    'delivered · answer cut off',
    'delivered · answered with 500',
    'delivered · answer unreadable',
    'delivered · answered late',
    'refused 21610 · Attempt to send to unsubscribed recipient · answer cut off',
  ]) {
    expect(text).toContain(words)
  }
})

function expectHalf(text: string, status: number) {
  const [head = '', body = ''] = text.split('\r\n\r\n')
  expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
  const announced = Number(/content-length: (\d+)/i.exec(head)?.[1])
  expect(body).toMatch(/^\{"/)
  expect(body.length).toBeGreaterThan(0)
  expect(body.length).toBeLessThan(announced)
  expect(() => JSON.parse(body)).toThrow(SyntaxError)
}
