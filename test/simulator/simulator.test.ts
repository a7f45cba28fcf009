// Starting, idling and closing, and small parts that need no server.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import { describe, expect, test } from '@jest/globals'
import { countSegments } from '../../src/simulator/count-segments.ts'
import { createRandom } from '../../src/simulator/seeded-random.ts'
import { type SimulatorOptions, startSimulator } from '../../src/simulator/simulator.ts'
import { startReceiver, waitFor } from './start-receiver.ts'
import { FROM, postForm, receive, rejectionOf, simulate, TO } from './with-simulator.ts'

describe('start', () => {
  test('listens on 127.0.0.1, on a free port, with public credentials', async () => {
    const { simulator } = await simulate()
    expect(simulator.url).toBe(`http://127.0.0.1:${simulator.port}`)
    expect(simulator.accountSid).toMatch(/^AC[0-9a-f]{32}$/)
    expect(simulator.authToken).toMatch(/^[0-9a-f]{32}$/)
    const { simulator: second } = await simulate()
    expect(second.port).not.toBe(simulator.port)
    expect(second.accountSid).toBe(simulator.accountSid)
  })

  test('closes an idle connection after keepAliveMs', async () => {
    const { simulator } = await simulate({ keepAliveMs: 1 })
    const socket = connect(simulator.port, '127.0.0.1').resume()
    const closed = once(socket, 'close')
    socket.write('GET /simulator/messages HTTP/1.1\r\nHost: simulator\r\n\r\n')
    await closed
  })

  // Some machines, often containers, have no IPv6.
  const hasIpv6 = Object.values(networkInterfaces()).some((list) =>
    list?.some(({ address }) => address === '::1'),
  )

  test.each(
    hasIpv6 ? ['0.0.0.0', '::1', '::'] : ['0.0.0.0'],
  )('on host %s it can be reached by its url', async (host) => {
    const { simulator } = await simulate({ host })
    expect((await fetch(`${simulator.url}/simulator/messages`)).status).toBe(200)
  })

  test('rejects with EADDRINUSE if the port is in use', async () => {
    const { simulator } = await simulate()
    expect(await rejectionOf(startSimulator({ port: simulator.port }))).toMatchObject({ code: 'EADDRINUSE' })
  })

  test.each<[SimulatorOptions, RegExp]>([
    [{ authToken: '' }, /authToken must not be empty/],
    [{ apiKeySid: 'SKtest' }, /apiKeySecret must not be empty/],
    [{ callbackDelayMs: -1 }, /callbackDelayMs must be a whole number from 0/],
    [{ hangMs: 3e9 }, /hangMs must be a whole number/],
    [{ maxKept: 0 }, /maxKept must be a whole number from 1/],
    [{ seed: 0.5 }, /seed must be a whole number/],
  ])('rejects the option %j by name', async (options, message) => {
    const error = await rejectionOf(startSimulator(options))
    expect(error).toBeInstanceOf(RangeError)
    expect(error).toMatchObject({ message: expect.stringMatching(message) })
  })
})

describe('idle', () => {
  test('resolves immediately if nothing is pending', async () => {
    const { simulator } = await simulate()
    await simulator.idle()
  })

  test('waits for the first callback after an answer, and for the last answer', async () => {
    let release = () => {}
    const receiver = await receive((response) => {
      release = () => response.writeHead(204).end()
    })
    const { simulator } = await simulate()
    await postForm(simulator, { To: '+15553000101', From: FROM, Body: 'Hello', StatusCallback: receiver.url })
    let idle = false
    const waiting = simulator.idle().then(() => {
      idle = true
    })
    await waitFor('the callback', () => receiver.received.length === 1)
    expect(idle).toBe(false)
    release()
    await waiting
    expect(simulator.callbacks()).toMatchObject([{ answer_status: 204 }])
  })
})

describe('close', () => {
  test('ends hanging requests and callbacks; messages can still be read', async () => {
    const receiver = await receive(() => {})
    const { simulator } = await simulate({ callbackDelayMs: 5, chaosDelayMs: 600_000 })
    const form = { To: '+15553000101', From: FROM, Body: 'Hello', StatusCallback: receiver.url }
    await postForm(simulator, form)
    await waitFor('a callback without an answer', () => receiver.received.length === 1)
    simulator.setChaos({ delayCallbacks: 1 })
    await postForm(simulator, form)
    simulator.setChaos({ hang: 1 })
    const hanging = rejectionOf(postForm(simulator, form))
    await waitFor('the request that hangs', () => simulator.submissionCounts().hung === 1)

    await simulator.close()
    expect(await hanging).toMatchObject({ message: 'fetch failed' })
    expect(await rejectionOf(fetch(simulator.url))).toMatchObject({ cause: { code: 'ECONNREFUSED' } })
    expect(simulator.messages()).toHaveLength(3)
    expect(simulator.callbacks()).toMatchObject([
      { answer_status: null, error: expect.stringMatching(/abort/i) },
    ])
    await simulator.idle()
    await simulator.close()
  })

  test('lets the process exit', async () => {
    const receiver = await startReceiver(() => {})
    // When the process closes the simulator, a callback is unanswered, a request hangs, and a timer of ten minutes is set.
    const program = `
      const { startSimulator } = await import(${JSON.stringify(new URL('../../src/simulator/simulator.ts', import.meta.url).href)})
      const simulator = await startSimulator({ callbackDelayMs: 1, chaosDelayMs: 600000, chaos: { hang: 1 } })
      const post = (to) => fetch(simulator.url + '/2010-04-01/Accounts/' + simulator.accountSid + '/Messages.json', {
        method: 'POST',
        headers: { Authorization: 'Basic ' + btoa(simulator.accountSid + ':' + simulator.authToken) },
        body: new URLSearchParams({ To: to, From: '${FROM}', Body: 'x', StatusCallback: '${receiver.url}' }),
      }).catch(() => {})
      post('${TO}')
      while (simulator.callbacks().length < 2) await new Promise((resolve) => setTimeout(resolve, 2))
      simulator.setChaos({ delayCallbacks: 1 })
      post('+15553000101')
      while (simulator.messages().at(-1)?.status !== 'failed') await new Promise((resolve) => setTimeout(resolve, 2))
      await simulator.close()
      console.log('closed')
    `
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      env: {},
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    try {
      let closedAtMs = 0
      child.stdout.once('data', () => {
        closedAtMs = Date.now()
      })
      await waitFor('close()', () => closedAtMs > 0)
      await waitFor('the process to end by itself', () => child.exitCode !== null, 3_000)
      expect(child.exitCode).toBe(0)
    } finally {
      child.kill('SIGKILL')
      await receiver.close()
    }
  })
})

describe('small parts', () => {
  test.each<[what: string, body: string, segments: number]>([
    ['160 plain characters', 'x'.repeat(160), 1],
    ['161 plain characters', 'x'.repeat(161), 2],
    ['306 plain characters', 'x'.repeat(306), 2],
    ['307 plain characters', 'x'.repeat(307), 3],
    ['80 euro signs, two septets each', '€'.repeat(80), 1],
    ['81 euro signs', '€'.repeat(81), 2],
    ['70 characters with an umlaut that GSM has', 'ü'.repeat(70), 1],
    ['70 Cyrillic characters', 'ж'.repeat(70), 1],
    ['71 Cyrillic characters', 'ж'.repeat(71), 2],
    ['36 emoji, two units each', '🙂'.repeat(36), 2],
  ])('countSegments counts %s (case %#)', (_what, body, segments) => {
    expect(countSegments(body)).toBe(segments)
  })

  test('createRandom returns the numbers of mulberry32 for seed 1', () => {
    const random = createRandom(1)
    const numbers = [random(), random(), random()].map((number) => Math.round(number * 4_294_967_296))
    expect(numbers).toEqual([2693262067, 11749833, 2265367787])
  })
})
