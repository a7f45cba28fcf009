// Sending one callback: what is recorded, and what is tried again.
import { createServer, type AddressInfo } from 'node:net'
import { describe, expect, test } from '@jest/globals'
import { startReceiver } from './start-receiver.ts'
import { FROM, postForm, receive, simulate, TO } from './with-simulator.ts'

describe('a callback', () => {
  test('records the answer of the receiver, and does not retry a 5xx', async () => {
    const receiver = await receive((response) => response.writeHead(503).end('no'))
    const { simulator, client } = await simulate()
    const { sid } = await client.messages.create({
      to: TO,
      from: FROM,
      body: 'Hello',
      statusCallback: receiver.url,
    })
    await simulator.idle()
    expect(simulator.callbacks()).toMatchObject([
      { message_sid: sid, url: receiver.url, answer_status: 503, error: null, tries: 1 },
      { message_sid: sid, url: receiver.url, answer_status: 503, error: null, tries: 1 },
    ])
    expect(receiver.received).toHaveLength(2)
    expect(simulator.callbacks()[0]?.fields).toEqual(receiver.received[0]?.fields)
  })

  test.each(['127.0.0.1', 'localhost'])('a failed connection to %s is tried once more', async (host) => {
    const gone = await startReceiver()
    await gone.close()
    const { simulator } = await simulate()
    const StatusCallback = gone.url.replace('127.0.0.1', host)
    await postForm(simulator, { To: TO, From: FROM, Body: 'Hello', StatusCallback })
    await simulator.idle()
    expect(simulator.callbacks()).toMatchObject([
      { answer_status: null, error: expect.stringContaining('ECONNREFUSED'), tries: 2 },
      { answer_status: null, error: expect.stringContaining('ECONNREFUSED'), tries: 2 },
    ])
  })

  test('a connection time-out is tried once more', async () => {
    // The server accepts connections but does not speak TLS, so there is no secure connection.
    const silent = createServer()
    let connections = 0
    silent.on('connection', (socket) => {
      connections += 1
      socket.on('error', () => {}).resume()
    })
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const { port } = silent.address() as AddressInfo
    const { simulator } = await simulate({ connectTimeoutMs: 30 })
    const StatusCallback = `https://127.0.0.1:${port}/`
    await postForm(simulator, { To: '+15553000101', From: FROM, Body: 'Hello', StatusCallback })
    await simulator.idle()
    expect(simulator.callbacks()).toMatchObject([
      { answer_status: null, error: 'no connection within 30 ms', tries: 2 },
    ])
    expect(connections).toBe(2)
    await new Promise((resolve) => silent.close(resolve))
  })

  test('an answer time-out is not tried again', async () => {
    const receiver = await receive(() => {})
    const { simulator } = await simulate({ answerTimeoutMs: 30 })
    await postForm(simulator, { To: '+15553000101', From: FROM, Body: 'Hello', StatusCallback: receiver.url })
    await simulator.idle()
    expect(simulator.callbacks()).toMatchObject([
      { answer_status: null, error: 'no answer within 30 ms', tries: 1 },
    ])
    expect(receiver.received).toHaveLength(1)
  })

  test('a connection that breaks before the answer is not tried again', async () => {
    const receiver = await receive((response) => response.socket?.destroy())
    const { simulator } = await simulate()
    await postForm(simulator, { To: '+15553000101', From: FROM, Body: 'Hello', StatusCallback: receiver.url })
    await simulator.idle()
    expect(simulator.callbacks()).toMatchObject([{ answer_status: null, error: 'socket hang up', tries: 1 }])
  })

  test('a redirect is not followed', async () => {
    const receiver = await receive((response) => response.writeHead(302, { Location: '/elsewhere' }).end())
    const { simulator } = await simulate()
    await postForm(simulator, { To: '+15553000101', From: FROM, Body: 'Hello', StatusCallback: receiver.url })
    await simulator.idle()
    expect(simulator.callbacks()).toMatchObject([{ answer_status: 302 }])
    expect(receiver.received).toHaveLength(1)
  })

  test('a URL that cannot be requested fails its own callback only', async () => {
    const { simulator } = await simulate()
    await postForm(simulator, {
      To: '+15553000101',
      From: FROM,
      Body: 'x',
      StatusCallback: 'http://%zz:x@127.0.0.1/',
    })
    await simulator.idle()
    expect(simulator.callbacks()).toMatchObject([
      { answer_status: null, error: expect.stringContaining('URIError') },
    ])
  })
})
