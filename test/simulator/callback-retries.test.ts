// Owns the tests of further tries of one callback, as its URL's fragment asks for them. Tries without a fragment
// are in send-callback.test.ts, how a fragment is read in connection-overrides.test.ts.
import type { ServerResponse } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { describe, expect, test } from '@jest/globals'
import twilio from 'twilio'
import type { SimulatorOptions } from '../../src/simulator/simulator.ts'
import { startReceiver } from './start-receiver.ts'
import { FROM, postForm, receive, simulate } from './with-simulator.ts'

/** A message that fails before it is sent has one callback only. */
const ONE_CALLBACK = '+15553000101'

async function sendTo(StatusCallback: string, options: SimulatorOptions = {}) {
  const { simulator } = await simulate(options)
  await postForm(simulator, { To: ONE_CALLBACK, From: FROM, Body: 'Hello', StatusCallback })
  await simulator.idle()
  return simulator
}

const answerWith = (status: number) => (response: ServerResponse) => response.writeHead(status).end('no')
const breakOff = (response: ServerResponse) => response.socket?.destroy()
const saySomeday = () => {}

describe('what the policy names is tried again, and nothing else', () => {
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
    ['a connection that breaks off', '#rc=2&rp=rt', breakOff, 3],
    ['a connection that breaks off', '#rc=2&rp=ct', breakOff, 1],
    ['no answer in time', '#rc=2&rp=rt&rt=100', saySomeday, 3],
    ['no answer in time', '#rc=2&rp=ct,4xx,5xx&rt=100', saySomeday, 1],
  ])('%s with %s', async (_what, fragment, answer, tries) => {
    const receiver = await receive(answer)
    const simulator = await sendTo(`${receiver.url}/status${fragment}`)
    expect(receiver.received).toHaveLength(tries)
    expect(simulator.callbacks()).toMatchObject([{ tries, url: `${receiver.url}/status${fragment}` }])
  })

  test.each([
    ['#rc=5', 6],
    ['#rc=0', 1],
    ['#rc=3&rp=4xx,5xx,rt', 1],
  ])('a connection that cannot be made with %s', async (fragment, tries) => {
    const gone = await startReceiver()
    await gone.close()
    const simulator = await sendTo(`${gone.url}/${fragment}`)
    expect(simulator.callbacks()).toMatchObject([{ answer_status: null, tries }])
  })
})

test('tries end with the first that succeeds, and its answer is what is recorded', async () => {
  const receiver = await receive((response, _callback) =>
    response.writeHead(receiver.received.length < 3 ? 503 : 204).end(),
  )
  const simulator = await sendTo(`${receiver.url}/#rc=5&rp=5xx`)
  expect(receiver.received).toHaveLength(3)
  expect(simulator.callbacks()).toMatchObject([{ tries: 3, answer_status: 204, error: null }])
})

test('every try has the same fields, token and signature, and none has the fragment', async () => {
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
  test('ct of the fragment counts instead of the simulator’s', async () => {
    // It takes the connection but never says a word of TLS, so there is no secure connection.
    const silent = createServer((socket) => socket.on('error', () => {}).resume())
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const { port } = silent.address() as AddressInfo
    const simulator = await sendTo(`https://127.0.0.1:${port}/#ct=120&rc=0`)
    expect(simulator.callbacks()).toMatchObject([{ tries: 1, error: 'no connection within 120 ms' }])
    await new Promise((resolve) => silent.close(resolve))
  })

  test('rt of the fragment counts instead of the simulator’s', async () => {
    const receiver = await receive(saySomeday)
    const simulator = await sendTo(`${receiver.url}/#rt=120`)
    expect(simulator.callbacks()).toMatchObject([{ tries: 1, error: 'no answer within 120 ms' }])
  })

  test('tt cuts the try under way, which is not tried again', async () => {
    const receiver = await receive(saySomeday)
    const simulator = await sendTo(`${receiver.url}/#tt=150&rt=15000&rc=5&rp=all`)
    expect(simulator.callbacks()).toMatchObject([
      { tries: 1, answer_status: null, error: 'no answer within the time for all tries' },
    ])
    expect(receiver.received).toHaveLength(1)
  })

  test('tt is for all tries together: the last gets what the others have left', async () => {
    const receiver = await receive(saySomeday)
    const simulator = await sendTo(`${receiver.url}/#tt=250&rt=100&rc=5&rp=all`)
    const [callback] = simulator.callbacks()
    // 100 + 100 + 50 ms. On a slow machine the time may be over when the second one has run out of its own.
    expect([
      { tries: 3, error: 'no answer within the time for all tries' },
      { tries: 2, error: 'no answer within the time for all tries' },
      { tries: 2, error: 'no answer within 100 ms' },
    ]).toContainEqual({ tries: callback?.tries, error: callback?.error })
  })
})
