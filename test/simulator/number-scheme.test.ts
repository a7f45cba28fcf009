// The number scheme +1555CCCCCNN: the outcome of each attempt, and to which attempt a POST belongs.
import { describe, expect, test } from '@jest/globals'
import { type Outcome, scriptedOutcome } from '../../src/simulator/number-script.ts'
import { type Client, FROM, postForm, receive, rejectionOf, simulate } from './with-simulator.ts'

describe('the number scheme', () => {
  test.each<[to: string, outcomes: string[]]>([
    ['+14155550100', ['delivered', 'delivered']],
    ['+15553000300', ['delivered', 'delivered']],
    ['+15553000301', ['undelivered 30003', 'delivered', 'delivered']],
    ['+15553000702', ['undelivered 30007', 'undelivered 30007', 'delivered']],
    ['+15553000101', ['failed 30001', 'delivered']],
    ['+15553000201', ['failed 30002', 'delivered']],
    ['+15553001001', ['failed 30010', 'delivered']],
    ['+15556303801', ['refused 63038', 'delivered']],
    ['+15551234501', ['undelivered 12345', 'delivered']],
    ['+15552161002', ['refused 21610', 'refused 21610', 'delivered']],
    ['+15550100123', ['delivered']],
    ['+1555300030', ['delivered']],
    ['+155530003011', ['delivered']],
    ['+25553000301', ['delivered']],
  ])('%s has the outcomes %j', (to, outcomes) => {
    const said = outcomes.map((_, attempt) =>
      describeOutcome(scriptedOutcome(to, { attempt, earlierPosts: 0 })),
    )
    expect(said).toEqual(outcomes)
  })

  test('lets the same attempt succeed after NN POSTs with a 429 or 5xx', () => {
    for (const code of ['20429', '20500', '20503']) {
      const outcomes = [0, 1, 2].map((earlierPosts) =>
        describeOutcome(scriptedOutcome(`+1555${code}02`, { attempt: 0, earlierPosts })),
      )
      expect(outcomes).toEqual([`refused ${code}`, `refused ${code}`, 'delivered'])
    }
  })
})

describe('a refused code', () => {
  test.each([
    [20003, 401],
    [20403, 403],
    [20404, 404],
    [21701, 404],
    [20429, 429],
    [20500, 500],
    [20503, 503],
    [21211, 400],
    [21610, 400],
    [63038, 429],
    [29999, 400],
  ])('%i comes with HTTP %i', async (code, status) => {
    const { simulator } = await simulate({ retryAfterSeconds: 7 })
    const answer = await postForm(simulator, { To: `+1555${code}01`, From: FROM, Body: 'Hello' })
    expect(answer.status).toBe(status)
    expect(answer.body).toMatchObject({
      code,
      status,
      more_info: `https://www.twilio.com/docs/errors/${code}`,
    })
    expect(answer.headers.get('retry-after')).toBe(status === 429 ? '7' : null)
    expect(simulator.messages()).toMatchObject([{ answer: 'refused', status: 'failed', error_code: code }])
  })
})

describe('the attempt of a POST', () => {
  test('is counted by To and Body if the callback URL does not name it', async () => {
    const { simulator, client } = await simulate()
    const send = (body: string) => sendAndWatch(client, '+15553000302', body)
    const sids = [await send('one'), await send('one'), await send('two'), await send('one')]
    await simulator.idle()
    expect(await Promise.all(sids.map((sid) => statusOf(client, sid)))).toEqual([
      'undelivered 30003',
      'undelivered 30003',
      'undelivered 30003',
      'delivered',
    ])
    expect(simulator.messages().map(({ attempt, message }) => [attempt, message])).toEqual([
      [0, null],
      [1, null],
      [0, null],
      [2, null],
    ])
  })

  test('is read from message and attempt in the callback URL', async () => {
    const receiver = await receive()
    const { simulator, client } = await simulate()
    const attempts = [1, 0, 0, 2]
    for (const attempt of attempts) {
      const statusCallback = `${receiver.url}/status?message=42&attempt=${attempt}`
      await client.messages.create({ to: '+15553000302', from: FROM, body: 'Hello', statusCallback })
    }
    await simulator.idle()
    expect(simulator.messages().map(({ attempt, message, status }) => [message, attempt, status])).toEqual([
      ['42', 1, 'undelivered'],
      ['42', 0, 'undelivered'],
      ['42', 0, 'undelivered'],
      ['42', 2, 'delivered'],
    ])
  })

  test.each([
    '?attempt=5',
    '?message=1',
    '?message=&attempt=5',
    '?message=1&attempt=-1',
    '?message=1&attempt=x',
  ])('is not read from the query %s', async (query) => {
    const { simulator } = await simulate()
    const StatusCallback = `http://127.0.0.1:9/${query}`
    await postForm(simulator, { To: '+15553000302', From: FROM, Body: 'Hello', StatusCallback })
    expect(simulator.messages()).toMatchObject([{ message: null, attempt: 0 }])
  })

  test.each([
    [
      'with message and attempt',
      (attempt: number) => ({ statusCallback: `http://127.0.0.1:9/?message=7&attempt=${attempt}` }),
    ],
    ['without', () => ({})],
  ])('determines a refused code %s', async (_what, options) => {
    const { client } = await simulate()
    const send = (attempt: number) =>
      client.messages.create({ to: '+15552161102', from: FROM, body: 'Hello', ...options(attempt) })
    expect(await rejectionOf(send(0))).toMatchObject({ code: 21611, status: 400 })
    expect(await rejectionOf(send(1))).toMatchObject({ code: 21611, status: 400 })
    expect((await send(2)).status).toBe('queued')
  })

  test('allows an attempt to be repeated after a scripted 429, for each message separately', async () => {
    const { client } = await simulate()
    for (const message of ['7', '8']) {
      const statusCallback = `http://127.0.0.1:9/?message=${message}&attempt=0`
      const send = () =>
        client.messages.create({ to: '+15552042901', from: FROM, body: 'Hello', statusCallback })
      expect(await rejectionOf(send())).toMatchObject({ code: 20429, status: 429 })
      expect((await send()).status).toBe('queued')
    }
  })
})

function describeOutcome(outcome: Outcome): string {
  return outcome.kind === 'delivered' ? outcome.kind : `${outcome.kind} ${outcome.code}`
}

async function sendAndWatch(client: Client, to: string, body: string): Promise<string> {
  return (await client.messages.create({ to, from: FROM, body })).sid
}

async function statusOf(client: Client, sid: string): Promise<string> {
  const { status, errorCode } = await client.messages(sid).fetch()
  return errorCode === null ? status : `${status} ${errorCode}`
}
