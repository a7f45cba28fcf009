// The checks of `doctor` for the Twilio account, against the simulator and servers that answer as Twilio may.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from '@jest/globals'
import type { NamedFinding } from '../../src/doctor/doctor.ts'
import { CLOSED_PORT } from '../support/closed-port.ts'
import { simulatedEnvironment } from '../../src/simulator/environment.ts'
import { type SimulatorOptions, startSimulator } from '../../src/simulator/simulator.ts'
import { type Answering, answerWith, errorBody, startFakeTwilio } from '../support/fake-twilio.ts'
import { examine, of } from './examine.ts'

const API_KEY = { apiKeySid: `SK${'1'.repeat(32)}`, apiKeySecret: 'key-secret' }

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

/** Database and endpoint are unreachable; these tests do not need them. */
async function examineWith(
  options: SimulatorOptions,
  changes: Record<string, string> = {},
): Promise<NamedFinding[]> {
  const simulator = await startSimulator(options)
  closing.push(() => simulator.close())
  const closed = { databaseUrl: `postgres://app@127.0.0.1:${CLOSED_PORT}/app`, port: CLOSED_PORT }
  return examine({ ...simulatedEnvironment(simulator, { ...closed, delayScale: 1 }), ...changes })
}

async function accountAt(answer: Answering): Promise<NamedFinding[]> {
  const twilio = await startFakeTwilio(answer)
  closing.push(() => twilio.close())
  return of(await examineWith({}, { TWILIO_API_BASE_URL: twilio.url }), 'account')
}

test('an active account with a valid token passes', async () => {
  const found = await examineWith({})
  expect(of(found, 'account')).toEqual([
    {
      name: 'account',
      result: 'ok',
      what: 'The account is active and its auth token is valid. Requests use the auth token',
      fix: null,
    },
  ])
  expect(of(found, 'api-key')[0]?.result).toBe('ok')
})

test.each([
  ['suspended', { accountStatus: 'suspended' }, 'failed', /suspended.*sends nothing/],
  ['closed', { accountStatus: 'closed' }, 'failed', /closed/],
  ['a trial', { isTrial: true }, 'warning', /verified numbers only/],
] as const)('an account that is %s is reported', async (_what, options, result, words) => {
  expect(of(await examineWith(options), 'account')).toMatchObject([
    { result, what: expect.stringMatching(words), fix: expect.stringContaining('Twilio console') },
  ])
})

test('a wrong token is reported', async () => {
  const found = await examineWith({}, { TWILIO_AUTH_TOKEN: 'f'.repeat(32) })
  expect(of(found, 'account')).toMatchObject([
    {
      result: 'failed',
      what: 'Twilio rejects these credentials (HTTP 401, code 20003)',
      fix: expect.stringContaining('requests use the first one'),
    },
  ])
  expect(JSON.stringify(found)).not.toContain('f'.repeat(32))
})

test('an unknown account is reported', async () => {
  const found = await examineWith({}, { TWILIO_ACCOUNT_SID: `AC${'9'.repeat(32)}` })
  expect(of(found, 'account')).toMatchObject([{ result: 'failed' }])
})

test('a primary token that is not configured is reported, without the token', async () => {
  const primary = 'd'.repeat(32)
  const found = await accountAt(answerWith(200, { status: 'active', type: 'Full', auth_token: primary }))
  expect(found.map(({ result }) => result)).toEqual(['ok', 'failed'])
  expect(found[1]?.what).toContain('primary auth token')
  expect(JSON.stringify(found)).not.toContain(primary)
})

test.each<[what: string, answer: Answering, result: string, words: RegExp]>([
  ['not active', answerWith(403, errorBody(403, 20005, 'Account not active')), 'failed', /not active/],
  [
    'rate limiting',
    answerWith(429, errorBody(429, 20429, 'Too Many Requests')),
    'warning',
    /limits the request rate/,
  ],
  ['unavailable', answerWith(503, '<h1>503</h1>'), 'failed', /HTTP 503/],
  ['not Twilio at all', answerWith(200, '<h1>Hello</h1>'), 'failed', /cannot be read/],
  ['closing the connection', (response) => response.destroy(), 'failed', /cannot be reached/],
])('a Twilio API that is %s is reported', async (_what, answer, result, words) => {
  expect(await accountAt(answer)).toMatchObject([{ result, what: expect.stringMatching(words) }])
})

test('an unreachable Twilio API is reported', async () => {
  const found = await examineWith({}, { TWILIO_API_BASE_URL: `http://127.0.0.1:${CLOSED_PORT}` })
  expect(of(found, 'account')).toMatchObject([
    {
      result: 'failed',
      what: expect.stringContaining('ECONNREFUSED'),
      fix: expect.stringContaining('https'),
    },
  ])
})

test('an API key is checked by reading a message', async () => {
  const key = { TWILIO_API_KEY_SID: API_KEY.apiKeySid, TWILIO_API_KEY_SECRET: API_KEY.apiKeySecret }
  const good = await examineWith(API_KEY, key)
  expect(of(good, 'account')[0]).toMatchObject({
    result: 'ok',
    what: expect.stringContaining('Requests use the API key'),
  })
  expect(of(good, 'api-key')[0]?.result).toBe('ok')
  const bad = await examineWith(API_KEY, { ...key, TWILIO_API_KEY_SECRET: 'another-secret' })
  expect(of(bad, 'account')[0]?.result).toBe('ok')
  expect(of(bad, 'api-key')[0]).toMatchObject({
    result: 'failed',
    what: expect.stringContaining('20003'),
    fix: expect.stringContaining('restricted key'),
  })
  expect(JSON.stringify(bad)).not.toContain('another-secret')
})

const keyFile = (name: string): Buffer => readFileSync(new URL(`../twilio/https/${name}`, import.meta.url))

test('an untrusted certificate is reported with the way to trust it', async () => {
  const server = createServer({ key: keyFile('localhost.key'), cert: keyFile('localhost.crt') })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(async () => server.close())
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  expect(of(await examineWith({}, { TWILIO_API_BASE_URL: url }), 'account')).toMatchObject([
    {
      result: 'failed',
      what: expect.stringMatching(
        /cannot be reached: no connection \((DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_VERIFY)/,
      ),
      fix: expect.stringContaining('NODE_EXTRA_CA_CERTS'),
    },
  ])
})

test('a proxy that refuses the tunnel is reported', async () => {
  const proxy = createHttpServer().on('connect', (_request, socket) =>
    socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n'),
  )
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  closing.push(async () => proxy.close())
  process.env['HTTPS_PROXY'] = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
  try {
    expect(
      of(await examineWith({}, { TWILIO_API_BASE_URL: 'https://127.0.0.1:1' }), 'account'),
    ).toMatchObject([
      {
        result: 'failed',
        what: 'Twilio cannot be reached: proxy answered 407',
        fix: expect.stringContaining('HTTPS_PROXY'),
      },
    ])
  } finally {
    delete process.env['HTTPS_PROXY']
  }
})

test('a host name that cannot be resolved is reported', async () => {
  expect(
    of(await examineWith({}, { TWILIO_API_BASE_URL: 'https://twilio.invalid' }), 'account'),
  ).toMatchObject([{ result: 'failed', fix: expect.stringContaining('DNS') }])
})

test.each([
  403, 404,
])('a %i without a Twilio error code is attributed to something other than Twilio', async (status) => {
  expect(await accountAt(answerWith(status, '<html>Blocked</html>'))).toMatchObject([
    {
      result: 'failed',
      what: expect.stringContaining(`Something other than Twilio answers (HTTP ${status}`),
    },
  ])
})
