// Retries of a callback as the fragment of its URL asks for them. Retries without a fragment are tested in
// send-callback.test.ts, parsing of the fragment in connection-overrides.test.ts.
import type { ServerResponse } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { describe, expect, test } from '@jest/globals'
import twilio from 'twilio'
import type { SimulatorOptions } from '../../src/simulator/simulator.ts'
import { startReceiver } from './start-receiver.ts'
import { FROM, postForm, receive, simulate } from './with-simulator.ts'

/** A message that fails before it is sent has a single callback. */
const ONE_CALLBACK = '+15553000101'

async function sendTo(StatusCallback: string, options: SimulatorOptions = {}) {
  const { simulator } = await simulate(options)
  await postForm(simulator, { To: ONE_CALLBACK, From: FROM, Body: 'Hello', StatusCallback })
  await simulator.idle()
  return simulator
}

const answerWith = (status: number) => (response: ServerResponse) => response.writeHead(status).end('no')
const breakOff = (response: ServerResponse) => response.socket?.destroy()
const neverAnswer = () => {}

describe('only failures that the policy names are tried again', () => {
  test.each<[what: string, fragment: string, answer: (response: ServerResponse) => void, tries: number]>([
    ['a 500', '#rc=2&rp=5xx', answerWith(500), 3],
    ['a 503', '#rc=2&rp=all', answerWith(503), 3],
    ['a 500', '#rc=2', answerWith(500), 1],
    ['a 500', '#rc=2&rp=4xx,ct,rt', answerWith(500), 1],
    ['a 404', '#rc=3&rp=4xx', answerWith(404), 4],
    ['a 404', '#rc=3&rp=5xx,ct,rt', answerWith(404), 1],
    ['a 404', '#rp=all', answerWith(404), 2],
    ['a 500', '#rc=0&rp=all', answerWith(500), 1],
    ['a redirect', '#rc=3&rp=all', answerWith(302), 1],
    ['success', '#rc=3&rp=all', answerWith(204), 1],
    ['a breaking connection', '#rc=2&rp=rt', breakOff, 3],
    ['a breaking connection', '#rc=2&rp=ct', breakOff, 1],
    ['an answer time-out', '#rc=2&rp=rt&rt=100', neverAnswer, 3],
    ['an answer time-out', '#rc=2&rp=ct,4xx,5xx&rt=100', neverAnswer, 1],
  ])('%s with the fragment %s', async (_what, fragment, answer, tries) => {
    const receiver = await receive(answer)
    const simulator = await sendTo(`${receiver.url}/status${fragment}`)
    expect(receiver.received).toHaveLength(tries)
    expect(simulator.callbacks()).toMatchObject([{ tries, url: `${receiver.url}/status${fragment}` }])
  })

  test.each([
    ['#rc=5', 6],
    ['#rc=0', 1],
    ['#rc=3&rp=4xx,5xx,rt', 1],
  ])('a failed connection with the fragment %s', async (fragment, tries) => {
    const gone = await startReceiver()
    await gone.close()
    const simulator = await sendTo(`${gone.url}/${fragment}`)
    expect(simulator.callbacks()).toMatchObject([{ answer_status: null, tries }])
  })
})

test('the first successful try is the last, and its answer is recorded', async () => {
  const receiver = await receive((response, _callback) =>
    response.writeHead(receiver.received.length < 3 ? 503 : 204).end(),
  )
  const simulator = await sendTo(`${receiver.url}/#rc=5&rp=5xx`)
  expect(receiver.received).toHaveLength(3)
  expect(simulator.callbacks()).toMatchObject([{ tries: 3, answer_status: 204, error: null }])
})

test('all tries have the same fields, token and signature, and no fragment', async () => {
  const receiver = await receive(answerWith(503))
  const simulator = await sendTo(`${receiver.url}/status?message=1&attempt=0#rc=2&rp=all`)
  const [first, ...others] = receiver.received
  expect(others).toHaveLength(2)
  for (const other of others) {
    expect(other.fields).toEqual(first?.fields)
    expect(other.headers).toEqual(first?.headers)
  }
  expect(first?.path).toBe('/status?message=1&attempt=0')
  const signature = String(first?.headers['x-twilio-signature'])
  const url = `${receiver.url}/status?message=1&attempt=0`
  expect(twilio.validateRequest(simulator.authToken, signature, url, first?.fields ?? {})).toBe(true)
})

describe('time-outs', () => {
  test('ct of the fragment overrides the option of the simulator', async () => {
    // The server accepts connections but does not speak TLS, so there is no secure connection.
    const silent = createServer((socket) => socket.on('error', () => {}).resume())
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const { port } = silent.address() as AddressInfo
    const simulator = await sendTo(`https://127.0.0.1:${port}/#ct=120&rc=0`)
    expect(simulator.callbacks()).toMatchObject([{ tries: 1, error: 'no connection within 120 ms' }])
    await new Promise((resolve) => silent.close(resolve))
  })

  test('rt of the fragment overrides the option of the simulator', async () => {
    const receiver = await receive(neverAnswer)
    const simulator = await sendTo(`${receiver.url}/#rt=120`)
    expect(simulator.callbacks()).toMatchObject([{ tries: 1, error: 'no answer within 120 ms' }])
  })

  test('tt ends the running try, and no other follows', async () => {
    const receiver = await receive(neverAnswer)
    const simulator = await sendTo(`${receiver.url}/#tt=150&rt=15000&rc=5&rp=all`)
    expect(simulator.callbacks()).toMatchObject([
      { tries: 1, answer_status: null, error: 'no answer within the time for all tries' },
    ])
    expect(receiver.received).toHaveLength(1)
  })

  test('tt limits all tries together', async () => {
    const receiver = await receive(neverAnswer)
    const simulator = await sendTo(`${receiver.url}/#tt=250&rt=100&rc=5&rp=all`)
    const [callback] = simulator.callbacks()
    // 100 + 100 + 50 ms. On a slow machine, the total time may end during the second try.
    expect([
      { tries: 3, error: 'no answer within the time for all tries' },
      { tries: 2, error: 'no answer within the time for all tries' },
      { tries: 2, error: 'no answer within 100 ms' },
    ]).toContainEqual({ tries: callback?.tries, error: callback?.error })
  })
})
