// Tests failures before the first byte of a request was written: each is "not processed", with its cause.
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:https'
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Server,
  type Socket,
} from 'node:net'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, describe, expect, test } from '@jest/globals'
import type { TwilioConfig } from '../../src/config/config.ts'
import { ConfigError } from '../../src/shared/errors.ts'
import { createTwilioClient } from '../../src/twilio/client.ts'
import { createdMessage } from '../support/fake-twilio.ts'
import { closeLater, configOf, SUBMISSION } from './with-twilio.ts'

const pathOf = (name: string): string => fileURLToPath(new URL(`https/${name}`, import.meta.url))
const CERTIFICATE = pathOf('localhost.crt')
const KEYS = { key: readFileSync(pathOf('localhost.key')), cert: readFileSync(CERTIFICATE) }

async function listen(server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closeLater(async () => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return (server.address() as AddressInfo).port
}

/** A server over TLS in place of Twilio. */
async function secureTwilio(): Promise<{ port: number; requests: () => number }> {
  let requests = 0
  const server = createServer(KEYS, (request, response) => {
    requests += 1
    request.resume().on('end', () => response.writeHead(201).end(JSON.stringify(createdMessage())))
  })
  return { port: await listen(server), requests: () => requests }
}

function submitTo(url: string, config: Partial<TwilioConfig> = {}) {
  const client = createTwilioClient(configOf(url, config), 'https://sms.example.com')
  return client.submit(SUBMISSION).then(({ answer }) => answer)
}

test('an untrusted certificate is not processed', async () => {
  const { port, requests } = await secureTwilio()
  const answers = await Promise.all(Array.from({ length: 20 }, () => submitTo(`https://127.0.0.1:${port}`)))
  for (const answer of answers) {
    expect(answer).toEqual({
      outcome: 'not_processed',
      reason: expect.stringMatching(
        /^no connection \((DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_VERIFY_LEAF_SIGNATURE)\)$/,
      ),
      retryAfterSeconds: null,
    })
  }
  expect(requests()).toBe(0)
})

test('a certificate in TWILIO_CA_BUNDLE is trusted', async () => {
  const { port } = await secureTwilio()
  const answer = await submitTo(`https://127.0.0.1:${port}`, { caBundle: CERTIFICATE })
  expect(answer.outcome).toBe('accepted')
})

test('a TWILIO_CA_BUNDLE that cannot be read prevents the start', () => {
  const config = configOf('https://127.0.0.1:1', { caBundle: pathOf('missing.crt') })
  expect(() => createTwilioClient(config, 'https://sms.example.com')).toThrow(ConfigError)
  expect(() => createTwilioClient(config, 'https://sms.example.com')).toThrow(/TWILIO_CA_BUNDLE.*ENOENT/)
})

test('a connection that closes before TLS is not processed', async () => {
  const port = await listen(createTcpServer((socket) => socket.destroy()))
  expect(await submitTo(`https://127.0.0.1:${port}`)).toMatchObject({
    outcome: 'not_processed',
    reason: expect.stringMatching(/ECONNRESET|CONNECT_FAILED/),
  })
})

test('a connection that is reset during the TLS handshake is not processed', async () => {
  const port = await listen(createTcpServer((socket) => socket.once('data', () => socket.resetAndDestroy())))
  expect(await submitTo(`https://127.0.0.1:${port}`)).toMatchObject({
    outcome: 'not_processed',
    reason: expect.stringContaining('ECONNRESET'),
  })
})

test('a TLS handshake that times out, and a request that waits too long, are not processed', async () => {
  const silent = await listen(createTcpServer(() => undefined))
  const deaf = await listen(createHttpServer(() => undefined))
  const oneConnection = createTwilioClient(
    configOf(`http://127.0.0.1:${deaf}`, { concurrency: 1 }),
    'https://sms.example.com',
  )
  const [handshake, first, second] = await Promise.all([
    submitTo(`https://127.0.0.1:${silent}`),
    ...[1, 2].map(() => oneConnection.submit(SUBMISSION).then(({ answer }) => answer)),
  ])
  expect(handshake).toMatchObject({ outcome: 'not_processed' })
  expect(first).toMatchObject({ outcome: 'unknown', reason: 'no answer within 10 s' })
  expect(second).toMatchObject({ outcome: 'not_processed', reason: 'no connection within 10 s' })
})

test('a request without a free file descriptor is not processed', async () => {
  const { port, requests } = await secureTwilio()
  // In its own process, whose limit can be set.
  const script = `
    import { openSync } from 'node:fs'
    import { createTwilioClient } from '${new URL('../../dist/twilio/client.js', import.meta.url).href}'
    const client = createTwilioClient(${JSON.stringify(configOf(`https://127.0.0.1:${port}`))}, 'https://sms.example.com')
    await client.ready()
    try { for (;;) openSync('/dev/null') } catch {}
    const { answer } = await client.submit(${JSON.stringify(SUBMISSION)})
    process.stdout.write(JSON.stringify(answer))`
  const command = `ulimit -n 256; exec "${process.execPath}" --input-type=module -e "$SCRIPT"`
  const { stdout } = await promisify(execFile)('sh', ['-c', command], {
    env: { ...process.env, SCRIPT: script },
  })
  expect(JSON.parse(stdout)).toMatchObject({ outcome: 'not_processed', reason: 'no connection (EMFILE)' })
  expect(requests()).toBe(0)
})

describe('with a proxy', () => {
  const NAMES = ['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY']
  afterEach(() => {
    for (const name of NAMES) delete process.env[name]
  })

  /** Opens tunnels if `status` is 200. */
  async function proxyThat(status: number): Promise<{ url: string; asked: string[] }> {
    const asked: string[] = []
    const server = createHttpServer()
    server.on('connect', (request, socket: Socket) => {
      asked.push(`${request.url} ${request.headers['proxy-authorization'] ?? ''}`.trim())
      if (status !== 200) {
        socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 2\r\n\r\nno`)
        return
      }
      const upstream = connect(Number(request.url?.split(':').at(-1)), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
        socket.pipe(upstream).pipe(socket)
      })
      upstream.on('error', () => undefined)
      socket.on('error', () => undefined)
    })
    return { url: `127.0.0.1:${await listen(server)}`, asked }
  }

  test.each([407, 403, 502])('a tunnel that the proxy refuses with %i is not processed', async (status) => {
    const { port } = await secureTwilio()
    const proxy = await proxyThat(status)
    process.env['HTTPS_PROXY'] = `http://${proxy.url}`
    const answer = await submitTo(`https://127.0.0.1:${port}`, { caBundle: CERTIFICATE })
    expect(answer).toEqual({
      outcome: 'not_processed',
      reason: `proxy answered ${status}`,
      retryAfterSeconds: null,
    })
    expect(proxy.asked).toEqual([`127.0.0.1:${port}`])
  })

  test.each(['HTTPS_PROXY', 'HTTP_PROXY'])('a request uses the tunnel of %s', async (name) => {
    const { port } = await secureTwilio()
    const proxy = await proxyThat(200)
    process.env[name] = `http://user:p%40ss@${proxy.url}`
    const answer = await submitTo(`https://127.0.0.1:${port}`, { caBundle: CERTIFICATE })
    expect(answer.outcome).toBe('accepted')
    expect(proxy.asked).toEqual([`127.0.0.1:${port} Basic ${Buffer.from('user:p@ss').toString('base64')}`])
  })

  test('a request to a host in NO_PROXY does not use it', async () => {
    const { port } = await secureTwilio()
    const proxy = await proxyThat(407)
    process.env['HTTPS_PROXY'] = `http://${proxy.url}`
    process.env['NO_PROXY'] = '127.0.0.1'
    expect((await submitTo(`https://127.0.0.1:${port}`, { caBundle: CERTIFICATE })).outcome).toBe('accepted')
    expect(proxy.asked).toEqual([])
  })

  test('an unreachable proxy is not processed', async () => {
    process.env['HTTPS_PROXY'] = 'http://127.0.0.1:1'
    expect(await submitTo('https://127.0.0.1:2')).toMatchObject({
      outcome: 'not_processed',
      reason: 'no connection (ECONNREFUSED)',
    })
  })

  test('a proxy that closes the connection is not processed', async () => {
    const port = await listen(createTcpServer((socket) => socket.once('data', () => socket.destroy())))
    process.env['HTTPS_PROXY'] = `http://127.0.0.1:${port}`
    expect(await submitTo('https://127.0.0.1:2')).toMatchObject({ outcome: 'not_processed' })
  })
})
