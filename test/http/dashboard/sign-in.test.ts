// Access to the dashboard: off unless it has credentials, then by password. Guessing is limited without locking out known
// browsers.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { createHash, createHmac, hkdfSync, scryptSync } from 'node:crypto'
import { createTestDatabase, type TestDatabase } from '../../support/database.ts'
import { silentLogger } from '../../support/silent-logger.ts'
import * as endpoint from '../endpoint.ts'
import { basic, CREDENTIALS, get, SIGNED_IN } from './operator.ts'

let database: TestDatabase
let web: endpoint.Endpoint
const ends: (() => Promise<void>)[] = []

beforeAll(async () => {
  database = await createTestDatabase()
})

afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

afterAll(() => database.drop())

const start = async (env: Record<string, string> = CREDENTIALS): Promise<void> => {
  const started = await endpoint.startEndpoint(database.url, env)
  ends.push(() => started.stop())
  web = started
}

const cookieOf = async (target: endpoint.Endpoint): Promise<string> =>
  (await get(target, '/queue')).headers.get('Set-Cookie')?.split(';')[0] ?? ''

const PATHS = [
  '/',
  '/error-codes',
  '/messages',
  '/messages/1',
  '/messages/find?what=1',
  '/queue',
  '/assets/dashboard.js',
]

test('without credentials in the environment there is no dashboard', async () => {
  await start({})
  for (const path of PATHS) expect(await get(web, path)).toMatchObject({ status: 404, text: 'Not found\n' })
})

test.each<[string, Record<string, string>]>([
  ['no credentials', {}],
  ['a wrong password', { Authorization: basic('operator', 'correct horse') }],
  ['a wrong username', { Authorization: basic('Operator', CREDENTIALS.DASHBOARD_PASSWORD) }],
  ['an empty password', { Authorization: basic('operator', '') }],
  ['the password as a bearer token', { Authorization: `Bearer ${CREDENTIALS.DASHBOARD_PASSWORD}` }],
  ['invalid Base64', { Authorization: 'Basic %%%' }],
])('with %s, every page and file is answered 401 and asks for basic authentication', async (_what, headers) => {
  await start()
  for (const path of PATHS) {
    const { status, headers: answered, text } = await get(web, path, headers)
    expect(status).toBe(401)
    expect(answered.get('WWW-Authenticate')).toMatch(/^Basic realm=/)
    expect(text).not.toContain('<')
  }
})

/** They share one process: with its first sign-in, each derives the key of its cookies, which takes long. */
describe('in a process that nobody guesses at,', () => {
  let web: endpoint.Endpoint

  beforeAll(async () => {
    web = await endpoint.startEndpoint(database.url, CREDENTIALS)
  })

  afterAll(() => web.stop())

  test('the right credentials open the pages; health checks and callbacks need none', async () => {
    expect((await get(web, '/')).status).toBe(200)
    expect((await get(web, '/healthz', {})).status).toBe(200)
    expect((await get(web, '/twilio/status', {})).status).toBe(405)
    expect((await get(web, '/nothing', {})).status).toBe(404)
  })

  test.each([
    '/assets/%ff',
    '/messages/%ff',
    '/%ff',
    '/messages/%ff/retry',
  ])('%s has invalid escapes: it gets no page, no stack and no error in the log', async (path) => {
    for (const headers of [{}, { Authorization: SIGNED_IN }]) {
      const { status, text } = await get(web, path, headers)
      expect([400, 401, 404]).toContain(status)
      expect(text).not.toMatch(/node_modules| at .*\.[jt]s/)
      if (headers.Authorization === undefined) expect(text).not.toContain('<')
    }
    expect(web.log.filter(({ level }) => level === 'error')).toEqual([])
  })

  test('pipelined requests with the right password are not limited', async () => {
    const right = Buffer.from(`GET /queue HTTP/1.1\r\nHost: a\r\nAuthorization: ${SIGNED_IN}\r\n\r\n`)
    expect(await endpoint.sendTogether(web.port, Array(30).fill(right))).toEqual(Array(30).fill(200))
  })

  test('security headers forbid caching, foreign scripts and framing', async () => {
    for (const path of ['/', '/messages', '/messages/999']) {
      const { headers } = await get(web, path)
      expect(headers.get('Cache-Control')).toBe('no-store')
      expect(headers.get('X-Content-Type-Options')).toBe('nosniff')
      expect(headers.get('Referrer-Policy')).toBe('same-origin')
      const policy = headers.get('Content-Security-Policy') ?? ''
      for (const rule of [
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "form-action 'self'",
      ]) {
        expect(policy).toContain(rule)
      }
      expect(policy).not.toContain('unsafe')
    }
    const cookie = (await get(web, '/')).headers.get('Set-Cookie')
    expect(cookie).toContain('HttpOnly')
    expect(cookie).toContain('SameSite=Strict')
  })
})

test('after ten wrong passwords even the right one is refused, except from a known browser', async () => {
  await start()
  const known = await cookieOf(web)
  expect(known).toMatch(/^sms_retry_browser=/)
  const wrong = { Authorization: basic('operator', 'guess') }
  const answers = await Promise.all(Array.from({ length: 10 }, () => get(web, '/', wrong)))
  expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(401))
  const refused = await get(web, '/')
  expect(refused.status).toBe(429)
  expect(Number(refused.headers.get('Retry-After'))).toBeGreaterThan(0)
  expect((await get(web, '/', { Authorization: SIGNED_IN, Cookie: known })).status).toBe(200)
  // The cookie alone grants no access, and cannot be forged.
  expect((await get(web, '/', { ...wrong, Cookie: known })).status).toBe(401)
  const forged = known.replace(/\..*/, '.AAAAA')
  expect((await get(web, '/', { Authorization: SIGNED_IN, Cookie: forged })).status).toBe(429)
  expect(JSON.stringify(web.log)).not.toContain('guess')
})

test('a known browser has ten guesses a minute of its own, which do not count for others', async () => {
  await start()
  const [one, other] = [await cookieOf(web), await cookieOf(web)]
  const wrong = { Authorization: basic('operator', 'guess'), Cookie: one }
  const answers = await Promise.all(Array.from({ length: 13 }, () => get(web, '/', wrong)))
  expect(answers.map(({ status }) => status)).toEqual([...Array(10).fill(401), ...Array(3).fill(429)])
  expect((await get(web, '/', { Authorization: SIGNED_IN, Cookie: one })).status).toBe(429)
  expect((await get(web, '/', { Authorization: SIGNED_IN, Cookie: other })).status).toBe(200)
  expect((await get(web, '/')).status).toBe(200)
})

test('forty guesses are one line in the log, with the address', async () => {
  await start()
  const wrong = { Authorization: basic('operator', 'guess') }
  await Promise.all(Array.from({ length: 40 }, () => get(web, '/', wrong)))
  const lines = web.log.filter(({ message }) => message === 'Dashboard: wrong credentials')
  expect(lines).toMatchObject([{ level: 'warn', fields: { address: '127.0.0.1', notLogged: 0 } }])
})

describe('the cookie of a known browser', () => {
  /** Testing one password against a cookie costs one scrypt. */
  function macOf(id: string, publicBaseUrl: string): string {
    const { DASHBOARD_USERNAME: username, DASHBOARD_PASSWORD: password } = CREDENTIALS
    const salt = `sms-retry dashboard ${publicBaseUrl}`
    const master = scryptSync(`${username}:${password}`, salt, 32, { N: 16_384, r: 8, p: 5 })
    const key = Buffer.from(hkdfSync('sha256', master, '', 'cookie', 32))
    return createHmac('sha256', key).update(id).digest('base64url')
  }

  test('is derived from the password by scrypt, not by a plain hash', async () => {
    await start()
    const [id = '', mac] = (await cookieOf(web)).split('=')[1]?.split('.') ?? []
    expect(mac).toBe(macOf(id, web.publicBaseUrl))
    const { DASHBOARD_USERNAME: username, DASHBOARD_PASSWORD: password } = CREDENTIALS
    const key = createHash('sha256').update(`browser:${username}:${password}`).digest()
    expect(mac).not.toBe(createHmac('sha256', key).update(id).digest('base64url'))
  })

  test.each([
    ['the same PUBLIC_BASE_URL', 'https://sms.example.com', 200],
    ['another PUBLIC_BASE_URL', 'https://other.example.com', 429],
  ])('in a restarted web process with %s (%s) is answered %i', async (_what, publicBaseUrl, status) => {
    await start()
    const cookie = await cookieOf(web)
    await web.stop()
    await start({ ...CREDENTIALS, PUBLIC_BASE_URL: publicBaseUrl })
    const wrong = { Authorization: basic('operator', 'guess') }
    await Promise.all(Array.from({ length: 10 }, () => get(web, '/', wrong)))
    expect((await get(web, '/queue', { Authorization: SIGNED_IN, Cookie: cookie })).status).toBe(status)
  })

  test.each([
    ['http://127.0.0.1:3000', 'https', false],
    ['https://sms.example.com', 'http', true],
    ['HTTPS://sms.example.com', 'http', true],
  ])('with PUBLIC_BASE_URL %s and X-Forwarded-Proto %s is Secure: %s', async (publicBaseUrl, proto, isSecure) => {
    await start({ ...CREDENTIALS, PUBLIC_BASE_URL: publicBaseUrl })
    const { headers } = await get(web, '/', { Authorization: SIGNED_IN, 'X-Forwarded-Proto': proto })
    expect(/; Secure/.test(headers.get('Set-Cookie') ?? '')).toBe(isSecure)
  })
})

test('pipelined guesses are counted one by one', async () => {
  await start()
  const guesses = [...Array.from({ length: 40 }, (_, i) => `guess ${i}`), CREDENTIALS.DASHBOARD_PASSWORD]
  const statuses = await endpoint.sendTogether(
    web.port,
    guesses.map((password) =>
      Buffer.from(`GET /queue HTTP/1.1\r\nHost: a\r\nAuthorization: ${basic('operator', password)}\r\n\r\n`),
    ),
  )
  expect(statuses).toEqual([...Array(10).fill(401), ...Array(31).fill(429)])
})

test('an open dashboard needs no password, as in the demo', async () => {
  // The demo listens on 127.0.0.1 only.
  const { openRuntime } = await import('../../../src/processes/runtime.ts')
  const { startWeb } = await import('../../../src/http/web.ts')
  const env = { DATABASE_URL: database.url, PORT: '0', HOST: '127.0.0.1' }
  const running = await startWeb(openRuntime({ logger: silentLogger }, env, ['DATABASE_URL']), {
    isOpen: true,
  })
  try {
    expect((await get(running, '/', {})).status).toBe(200)
  } finally {
    await running.stop()
  }
})
