// Who may see the dashboard: nobody unless it is switched on, then whoever knows the password; and whoever guesses is
// slowed down, without locking out others.
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { signIn } from '../../../src/http/dashboard/sign-in.ts'
import { createTestDatabase, type TestDatabase } from '../../support/database.ts'
import { silentLogger } from '../../support/silent-logger.ts'
import * as endpoint from '../endpoint.ts'
import { basic, CREDENTIALS, get, SIGNED_IN } from './operator.ts'

let database: TestDatabase
let web: endpoint.Endpoint

beforeAll(async () => {
  database = await createTestDatabase()
})

afterEach(() => web.stop())

afterAll(() => database.drop())

const start = async (env: Record<string, string> = CREDENTIALS): Promise<void> => {
  web = await endpoint.startEndpoint(database.url, env)
}

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
  ['none', {}],
  ['a wrong password', { Authorization: basic('operator', 'correct horse') }],
  ['a wrong name', { Authorization: basic('Operator', CREDENTIALS.DASHBOARD_PASSWORD) }],
  ['an empty password', { Authorization: basic('operator', '') }],
  ['the password as a bearer token', { Authorization: `Bearer ${CREDENTIALS.DASHBOARD_PASSWORD}` }],
  ['nonsense', { Authorization: 'Basic %%%' }],
])('%s: every page and file is refused, and a browser is told to ask', async (_what, headers) => {
  await start()
  for (const path of PATHS) {
    const { status, headers: answered, text } = await get(web, path, headers)
    expect(status).toBe(401)
    expect(answered.get('WWW-Authenticate')).toMatch(/^Basic realm=/)
    expect(text).not.toContain('<')
  }
})

test('the right credentials open every page; health checks and callbacks need none', async () => {
  await start()
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
])('%s has broken escapes: no page, no stack, no line of noise', async (path) => {
  await start()
  for (const headers of [{}, { Authorization: SIGNED_IN }]) {
    const { status, text } = await get(web, path, headers)
    expect([400, 401, 404]).toContain(status)
    expect(text).not.toMatch(/node_modules| at .*\.[jt]s/)
    if (headers.Authorization === undefined) expect(text).not.toContain('<')
  }
  expect(web.log.filter(({ level }) => level === 'error')).toEqual([])
})

test('ten wrong passwords: even the right one is not looked at for a while, save from a browser that is known', async () => {
  await start()
  const known = (await get(web, '/')).headers.get('Set-Cookie')?.split(';')[0] ?? ''
  expect(known).toMatch(/^sms_retry_browser=/)
  const wrong = { Authorization: basic('operator', 'guess') }
  const answers = await Promise.all(Array.from({ length: 10 }, () => get(web, '/', wrong)))
  expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(401))
  const refused = await get(web, '/')
  expect(refused.status).toBe(429)
  expect(Number(refused.headers.get('Retry-After'))).toBeGreaterThan(0)
  expect((await get(web, '/', { Authorization: SIGNED_IN, Cookie: known })).status).toBe(200)
  // A cookie opens nothing by itself, and cannot be made up.
  expect((await get(web, '/', { ...wrong, Cookie: known })).status).toBe(401)
  const forged = known.replace(/\..*/, '.AAAAA')
  expect((await get(web, '/', { Authorization: SIGNED_IN, Cookie: forged })).status).toBe(429)
  expect(web.log.filter(({ message }) => message === 'Dashboard: wrong credentials').length).toBeGreaterThan(
    9,
  )
  expect(JSON.stringify(web.log)).not.toContain('guess')
})

test('guesses that come in one piece are counted one by one', async () => {
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

test('right passwords are not counted, however many come in one piece', async () => {
  await start()
  const right = Buffer.from(`GET /queue HTTP/1.1\r\nHost: a\r\nAuthorization: ${SIGNED_IN}\r\n\r\n`)
  expect(await endpoint.sendTogether(web.port, Array(30).fill(right))).toEqual(Array(30).fill(200))
})

test.each([
  ['the same network', 10, (n: number) => `2001:db8:1:2:${n.toString(16)}::1`],
  ['the same network, of zeros', 10, (n: number) => `2001:db8::${n.toString(16)}:91ff:fe00:1`],
  ['another network each', 30, (n: number) => `2001:db8:0:${(n + 1).toString(16)}::1`],
  ['another address of IPv4 each', 30, (n: number) => `::ffff:192.0.2.${n}`],
])('thirty guesses from %s: %i are looked at', async (_what, expected, addressOf) => {
  await start()
  const handler = signIn({ username: 'operator', password: 'x' }, silentLogger, () => '') as unknown as (
    request: object,
    response: object,
    next: () => void,
  ) => Promise<void>
  const statuses: number[] = []
  for (let n = 0; n < 30; n += 1) {
    const request = { socket: { remoteAddress: addressOf(n) }, get: () => basic('operator', 'guess') }
    const response: object = {
      status: (status: number) => {
        statuses.push(status)
        return response
      },
      set: () => response,
      type: () => response,
      send: () => response,
    }
    await handler(request, response, () => undefined)
  }
  expect(statuses.filter((status) => status === 401)).toHaveLength(expected)
})

test('a browser may keep nothing, run nothing from elsewhere, and show the pages in no frame', async () => {
  await start()
  for (const path of ['/', '/messages', '/messages/999']) {
    const { headers } = await get(web, path)
    expect(headers.get('Cache-Control')).toBe('no-store')
    expect(headers.get('X-Content-Type-Options')).toBe('nosniff')
    expect(headers.get('Referrer-Policy')).toBe('no-referrer')
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

test('the demo serves it to everybody', async () => {
  // Its process listens on 127.0.0.1 only.
  const { openRuntime } = await import('../../../src/runtime.ts')
  const { startWeb } = await import('../../../src/web.ts')
  const env = { DATABASE_URL: database.url, PORT: '0', HOST: '127.0.0.1' }
  const running = await startWeb(openRuntime({ logger: silentLogger }, env, ['DATABASE_URL']), {
    isOpen: true,
  })
  try {
    expect((await get(running, '/', {})).status).toBe(200)
  } finally {
    await running.stop()
    await start()
  }
})
