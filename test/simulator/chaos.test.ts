// The faults: each one alone, and all of them by one seed.
import { describe, expect, test } from '@jest/globals'
import { changeChaos, NO_CHAOS } from '../../src/simulator/chaos.ts'
import { waitFor } from './start-receiver.ts'
import { clientOf, FROM, postForm, receive, rejectionOf, simulate, TO } from './with-simulator.ts'

describe('faults of callbacks', () => {
  test('dropCallbacks sends none, and the message still reaches its final status', async () => {
    const receiver = await receive()
    const { simulator } = await simulate({ chaos: { dropCallbacks: 1 } })
    await postForm(simulator, { To: TO, From: FROM, Body: 'Hello', StatusCallback: receiver.url })
    await simulator.idle()
    expect(receiver.received).toEqual([])
    expect(simulator.callbacks()).toEqual([])
    expect(simulator.messages()).toMatchObject([{ status: 'delivered' }])
  })

  test('duplicateCallbacks sends each twice, with the same fields and idempotency token', async () => {
    const receiver = await receive()
    const { simulator } = await simulate({ callbackDelayMs: 20, chaos: { duplicateCallbacks: 1 } })
    await postForm(simulator, { To: TO, From: FROM, Body: 'Hello', StatusCallback: receiver.url })
    await simulator.idle()
    expect(receiver.statuses()).toEqual(['sent', 'sent', 'delivered', 'delivered'])
    const tokens = receiver.received.map(({ headers }) => headers['i-twilio-idempotency-token'])
    expect(new Set(tokens).size).toBe(2)
    expect(receiver.received[0]?.fields).toEqual(receiver.received[1]?.fields)
    expect(simulator.callbacks()).toHaveLength(4)
  })

  test('reorderCallbacks sends the final status first', async () => {
    const receiver = await receive()
    const { simulator } = await simulate({ callbackDelayMs: 20, chaos: { reorderCallbacks: 1 } })
    await postForm(simulator, { To: '+15553000301', From: FROM, Body: 'Hello', StatusCallback: receiver.url })
    await simulator.idle()
    expect(receiver.statuses()).toEqual(['undelivered', 'sent'])
    expect(receiver.received[1]?.fields).not.toHaveProperty('ErrorCode')
    expect(simulator.messages()).toMatchObject([{ status: 'undelivered', error_code: 30003 }])
  })

  test('delayCallbacks sends a callback later than its status', async () => {
    const receiver = await receive()
    const { simulator } = await simulate({ chaosDelayMs: 300, chaos: { delayCallbacks: 1 } })
    await postForm(simulator, { To: TO, From: FROM, Body: 'Hello', StatusCallback: receiver.url })
    await waitFor('the final status', () => simulator.messages()[0]?.status === 'delivered')
    expect(receiver.received).toEqual([])
    await simulator.idle()
    expect(receiver.statuses().sort()).toEqual(['delivered', 'sent'])
  })
})

test('unknownStatus sends an additional callback before the final one', async () => {
  const receiver = await receive()
  const { simulator } = await simulate({ callbackDelayMs: 20, chaos: { unknownStatus: 1 } })
  await postForm(simulator, { To: TO, From: FROM, Body: 'Hello', StatusCallback: receiver.url })
  await simulator.idle()
  expect(receiver.statuses()).toEqual(['sent', 'partially_delivered', 'delivered'])
  expect(simulator.messages()).toMatchObject([{ status: 'delivered' }])
})

describe('faults of requests', () => {
  test('hang creates the message and sends its callbacks, without an answer', async () => {
    const receiver = await receive()
    const { simulator, client } = await simulate({ chaos: { hang: 1 }, hangMs: 100 })
    const statusCallback = receiver.url
    const error = await rejectionOf(
      client.messages.create({ to: TO, from: FROM, body: 'Hello', statusCallback }),
    )
    expect(error).toMatchObject({ code: 'ECONNRESET' })
    await simulator.idle()
    expect(receiver.statuses().sort()).toEqual(['delivered', 'sent'])
    expect(simulator.messages()).toMatchObject([{ answer: 'hung', status: 'delivered' }])
    expect(await client.messages.list({ to: TO })).toHaveLength(1)
  })

  test('hang sends callbacks before the client gives up', async () => {
    const receiver = await receive()
    const { simulator } = await simulate({ chaos: { hang: 1 } })
    const hasty = clientOf(simulator, { timeout: 400 })
    const create = hasty.messages.create({ to: TO, from: FROM, body: 'Hello', statusCallback: receiver.url })
    const rejected = rejectionOf(create)
    await waitFor('both callbacks', () => receiver.received.length === 2)
    expect(await rejected).toMatchObject({ code: 'ECONNABORTED' })
  })

  test.each([
    ['rateLimit', 429, 20429, '3', 'rate_limited'],
    ['serverError', 500, 20500, null, 'server_error'],
  ] as const)('%s answers HTTP %i with code %i, and processes nothing', async (name, status, code, retryAfter, answer) => {
    const receiver = await receive()
    const { simulator, client } = await simulate({ chaos: { [name]: 1 }, retryAfterSeconds: 3 })
    const form = { To: '+15553000301', From: FROM, Body: 'Hello', StatusCallback: receiver.url }
    const response = await postForm(simulator, form)
    expect(response).toMatchObject({ status, body: { code, status } })
    expect(response.headers.get('retry-after')).toBe(retryAfter)
    await simulator.idle()
    expect(receiver.received).toEqual([])
    expect(await client.messages.list()).toEqual([])
    expect(simulator.messages()).toMatchObject([{ answer, attempt: null }])

    // Without faults, the next POST is the first that counts as an attempt.
    simulator.setChaos({ [name]: 0 })
    expect((await postForm(simulator, form)).status).toBe(201)
    expect(simulator.messages()[1]).toMatchObject({ answer: 'accepted', attempt: 0 })
    expect(simulator.submissionCounts()).toMatchObject({ accepted: 1, [answer]: 1, hung: 0 })
  })
})

describe('the random faults', () => {
  const stormy = {
    dropCallbacks: 0.3,
    duplicateCallbacks: 0.3,
    reorderCallbacks: 0.5,
    delayCallbacks: 0.3,
    rateLimit: 0.1,
    unavailable: 0.1,
    serverError: 0.1,
    proxyPage: 0.1,
    hangBefore: 0.1,
    closeBefore: 0.1,
    hang: 0.1,
    reset: 0.2,
    serverErrorAfter: 0.2,
    garbage: 0.3,
    slow: 0.3,
  }

  async function run(seed: number) {
    const receiver = await receive()
    const { simulator } = await simulate({ seed, chaos: stormy, chaosDelayMs: 5, hangMs: 1, slowMs: 1 })
    for (let index = 0; index < 100; index += 1) {
      const form = { To: TO, From: FROM, Body: `${index}`, StatusCallback: receiver.url }
      await postForm(simulator, form).catch(() => 'no answer that can be read')
    }
    await simulator.idle()
    return {
      answers: simulator.messages().map(({ sid, answer }) => [sid, answer]),
      callbacks: receiver.received
        .map(({ fields, headers }) =>
          [fields['MessageSid'], fields['MessageStatus'], headers['i-twilio-idempotency-token']].join(' '),
        )
        .sort(),
    }
  }

  test('are the same for the same seed, and different for another', async () => {
    const first = await run(7)
    expect(await run(7)).toEqual(first)
    const other = await run(8)
    const kindsOf = ({ answers }: typeof first) => answers.map(([, answer]) => answer)
    expect(kindsOf(other)).not.toEqual(kindsOf(first))
    expect(other.answers.map(([sid]) => sid)).not.toEqual(first.answers.map(([sid]) => sid))
    const kinds = new Set(kindsOf(first))
    expect([...kinds].sort()).toEqual([
      'accepted',
      'closed_before',
      'garbage',
      'hung',
      'hung_before',
      'proxy_page',
      'rate_limited',
      'reset',
      'server_error',
      'server_error_after',
      'slow',
      'unavailable',
    ])
  })

  test('of one kind do not change when another kind is switched on', async () => {
    const hungWith = async (dropCallbacks: number) => {
      const { simulator } = await simulate({ chaos: { hang: 0.5, dropCallbacks }, hangMs: 1 })
      for (let index = 0; index < 20; index += 1) {
        await postForm(simulator, { To: TO, From: FROM, Body: `${index}` }).catch(() => 'hung')
      }
      return simulator.messages().map(({ answer }) => answer)
    }
    expect(await hungWith(1)).toEqual(await hungWith(0))
  })

  test.each([-0.1, 1.1, Number.NaN, Number.POSITIVE_INFINITY])('a share of %d is rejected', async (share) => {
    expect(() => changeChaos(NO_CHAOS, { hang: share })).toThrow(RangeError)
    expect(() => changeChaos(NO_CHAOS, { hang: share })).toThrow(/chaos\.hang must be a share from 0 to 1/)
    await expect(simulate({ chaos: { dropCallbacks: share } })).rejects.toThrow(/chaos\.dropCallbacks/)
  })

  test('setChaos changes the shares it names, and nothing if one is invalid', async () => {
    const { simulator } = await simulate({ chaos: { hang: 0.5, rateLimit: 0.5 } })
    simulator.setChaos({ hang: 0 })
    expect(simulator.chaos()).toMatchObject({ hang: 0, rateLimit: 0.5 })
    expect(() => simulator.setChaos({ rateLimit: 0, hang: 2 })).toThrow(RangeError)
    expect(() => simulator.setChaos(JSON.parse('{ "hangs": 1 }'))).toThrow(/chaos\.hangs does not exist/)
    expect(simulator.chaos()).toMatchObject({ hang: 0, rateLimit: 0.5 })
  })
})
