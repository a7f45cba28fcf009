// The clock of the simulator: it dates everything that is reported, and does not affect delays.
import { describe, expect, test } from '@jest/globals'
import { basicAuth, FROM, postForm, receive, simulate, TO } from './with-simulator.ts'

const START = Date.UTC(2031, 1, 3, 4, 5, 6)
const HOUR_MS = 3_600_000

describe('the clock of the simulator', () => {
  test('is the clock of this machine by default', async () => {
    const { simulator } = await simulate()
    const beforeMs = Date.now()
    await postForm(simulator, { To: TO, From: FROM, Body: 'Hello' })
    expect(simulator.messages()[0]?.created_at_ms).toBeGreaterThanOrEqual(beforeMs)
    expect(simulator.messages()[0]?.created_at_ms).toBeLessThanOrEqual(Date.now())
  })

  test('dates the resource at creation and at every status', async () => {
    let nowMs = START
    const { simulator, client } = await simulate({ now: () => nowMs, callbackDelayMs: 50 })
    const created = await client.messages.create({ to: TO, from: FROM, body: 'Hello' })
    expect([created.dateCreated, created.dateUpdated]).toEqual([new Date(START), new Date(START)])
    expect(simulator.messages()).toMatchObject([{ created_at_ms: START }])
    nowMs += HOUR_MS
    await simulator.idle()
    expect(simulator.messages()).toMatchObject([
      {
        status: 'delivered',
        date_created: 'Mon, 03 Feb 2031 04:05:06 +0000',
        date_sent: 'Mon, 03 Feb 2031 05:05:06 +0000',
        date_updated: 'Mon, 03 Feb 2031 05:05:06 +0000',
      },
    ])
  })

  test('dates a refused message', async () => {
    const { simulator } = await simulate({ now: () => START })
    await postForm(simulator, { To: '+15552161001', From: FROM, Body: 'Hello' })
    expect(simulator.messages()).toMatchObject([
      {
        created_at_ms: START,
        date_created: 'Mon, 03 Feb 2031 04:05:06 +0000',
        date_updated: 'Mon, 03 Feb 2031 04:05:06 +0000',
      },
    ])
  })

  test('dates callbacks in the request and in the record', async () => {
    let nowMs = START
    const receiver = await receive((response) => {
      nowMs += HOUR_MS
      response.writeHead(204).end()
    })
    const { simulator } = await simulate({ now: () => nowMs })
    await postForm(simulator, { To: '+15553000101', From: FROM, Body: 'Hello', StatusCallback: receiver.url })
    await simulator.idle()
    expect(receiver.received).toMatchObject([{ fields: { RawDlrDoneDate: '3102030405' } }])
    expect(simulator.callbacks()).toMatchObject([{ sent_at_ms: START, ended_at_ms: START + HOUR_MS }])
  })

  test('decides lists by date', async () => {
    const { simulator, client } = await simulate({ now: () => START })
    await client.messages.create({ to: TO, from: FROM, body: 'Hello' })
    await simulator.idle()
    const countSince = async (dateSentAfter: Date) => (await client.messages.list({ dateSentAfter })).length
    expect(await countSince(new Date(START))).toBe(1)
    expect(await countSince(new Date(START + 1_000))).toBe(0)
  })

  const list = '/Messages.json'
  const good = { To: TO, From: FROM, Body: 'Hello' }

  test.each<[what: string, method: string, path: string, fields: Record<string, string>, status: number]>([
    ['a created message', 'POST', list, good, 201],
    ['a refusal by the number scheme', 'POST', list, { ...good, To: '+15552161001' }, 400],
    ['invalid fields', 'POST', list, { ...good, To: 'x' }, 400],
    ['a body that is too large', 'POST', list, { ...good, Body: 'x'.repeat(200_000) }, 413],
    ['a list', 'GET', list, {}, 200],
    ['a list that is refused', 'GET', `${list}?Page=x`, {}, 400],
    ['an unknown message', 'GET', '/Messages/SMnone.json', {}, 404],
    ['an unknown resource', 'GET', '/Calls.json', {}, 404],
  ])('dates the answer to %s', async (_what, method, path, fields, status) => {
    const { simulator } = await simulate({ now: () => START })
    const { url, accountSid, authToken } = simulator
    const response = await fetch(`${url}/2010-04-01/Accounts/${accountSid}${path}`, {
      method,
      headers: { Authorization: basicAuth(accountSid, authToken) },
      ...(method === 'POST' ? { body: new URLSearchParams(fields) } : {}),
    })
    expect([response.status, response.headers.get('date')]).toEqual([status, 'Mon, 03 Feb 2031 04:05:06 GMT'])
  })

  test('dates a 401 and the answers of all faults', async () => {
    let nowMs = START
    const { simulator } = await simulate({ now: () => nowMs, slowMs: 50 })
    const dateOf = async (authorization: string, body?: URLSearchParams) => {
      const uri = `${simulator.url}/2010-04-01/Accounts/${simulator.accountSid}/Messages.json`
      const response = await fetch(uri, {
        headers: { Authorization: authorization },
        ...(body === undefined ? {} : { method: 'POST', body }),
      })
      return response.headers.get('date')
    }
    expect(await dateOf(basicAuth('wrong', 'wrong'))).toBe('Mon, 03 Feb 2031 04:05:06 GMT')
    const { accountSid, authToken } = simulator
    const faults = ['rateLimit', 'unavailable', 'serverError', 'serverErrorAfter', 'garbage'] as const
    for (const fault of faults) {
      simulator.setChaos({ [fault]: 1 })
      const date = await dateOf(basicAuth(accountSid, authToken), new URLSearchParams(good))
      expect([fault, date]).toEqual([fault, 'Mon, 03 Feb 2031 04:05:06 GMT'])
      simulator.setChaos({ [fault]: 0 })
    }
    // A slow answer has the date at which it is sent.
    simulator.setChaos({ slow: 1 })
    const slow = dateOf(basicAuth(accountSid, authToken), new URLSearchParams(good))
    while (simulator.submissionCounts().slow === 0) await new Promise((resolve) => setTimeout(resolve, 2))
    nowMs += HOUR_MS
    expect(await slow).toBe('Mon, 03 Feb 2031 05:05:06 GMT')
  })
})
