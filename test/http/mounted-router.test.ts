// The endpoint mounted in a user's Express app: createApp and statusCallbackRouter of the public API.
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express'
import express4 from 'express4'
import { createApp, type Closable, ConfigError, statusCallbackRouter } from '../../src/index.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { capturingLogger, type LogLine } from '../support/world.ts'
import * as endpoint from './endpoint.ts'

const PUBLIC_BASE_URL = 'https://shop.example.com/sms'

let database: TestDatabase
let row: endpoint.ForeignRow
let log: LogLine[]
let router: ReturnType<typeof statusCallbackRouter>
let server: Server | undefined

beforeAll(async () => {
  database = await createTestDatabase()
})

afterAll(() => database.drop())

beforeEach(async () => {
  row = await endpoint.insertSentRow(database)
  log = []
  router = statusCallbackRouter(options())
})

afterEach(async () => {
  expect(endpoint.personalLines(log)).toEqual([])
  const closing = server
  server = undefined
  closing?.closeAllConnections()
  if (closing !== undefined) await new Promise((resolve) => closing.close(resolve))
  await router.close()
})

function options() {
  return {
    databaseUrl: database.url,
    publicBaseUrl: PUBLIC_BASE_URL,
    twilio: { accountSid: endpoint.ACCOUNT_SID, authToken: endpoint.AUTH_TOKEN },
    logger: capturingLogger(log),
  }
}

async function listen(app: RequestListener): Promise<number> {
  const listening = createServer(app)
  server = listening
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
  return (listening.address() as AddressInfo).port
}

/** The callback to `/sms/twilio/status`, signed for the public URL. */
async function post(app: Express, change: Partial<endpoint.CallbackRequest> = {}): Promise<endpoint.Answer> {
  const port = await listen(app)
  const target = { port, publicBaseUrl: 'https://shop.example.com', authToken: endpoint.AUTH_TOKEN }
  const fields = endpoint.undelivered(endpoint.ACCOUNT_SID, row.sid)
  return endpoint.post(target, { path: `/sms${endpoint.statusPath(row.id)}`, fields, ...change })
}

async function status(): Promise<unknown> {
  const [found] = await database.query('select final_status from sms_usage_logs where id = $1', [row.id])
  return found?.['final_status']
}

describe('statusCallbackRouter mounted under a prefix, before the body parsers of the app', () => {
  function shop(): Express {
    const app = express()
    app.use('/sms', router)
    app.use(express.json(), express.urlencoded({ extended: true }))
    app.post('/orders', (request, response) => void response.json(request.body))
    app.get('/sms/other', (_request, response) => void response.send('other'))
    return app
  }

  test('records a callback', async () => {
    expect(await post(shop())).toMatchObject({ status: 204 })
    expect(await status()).toBe('retrying')
  })

  test.each([
    [
      'a callback signed without the prefix',
      { signedUrl: `https://shop.example.com${endpoint.statusPath(1)}` },
      403,
    ],
    ['a callback that is not a form', { headers: { 'Content-Type': 'application/json' } }, 415],
    ['a GET request', { method: 'GET' }, 405],
  ])('refuses %s', async (_what, change, expected) => {
    expect(await post(shop(), change)).toMatchObject({ status: expected })
    expect(await status()).toBe('unknown')
  })

  test("leaves the app's own routes alone, also below the prefix", async () => {
    const port = await listen(shop())
    const order = await fetch(`http://127.0.0.1:${port}/orders`, {
      method: 'POST',
      body: new URLSearchParams({ 'items[0]': 'book' }),
    })
    expect(await order.json()).toEqual({ items: ['book'] })
    const other = await fetch(`http://127.0.0.1:${port}/sms/other`)
    expect(await other.text()).toBe('other')
    const unknown = await fetch(`http://127.0.0.1:${port}/sms/healthz`)
    expect(unknown.status).toBe(404)
  })
})

describe('middleware of the app that breaks the answer', () => {
  const breaking: RequestHandler = (_request, response, next) => {
    const { setHeader } = response
    response.setHeader = (name, value) => {
      if (name === 'Sms-Retry-Result') throw new Error('The middleware failed')
      return setHeader.call(response, name, value)
    }
    next()
  }

  test.each([
    ['Express 5', express],
    ['Express 4', express4 as unknown as typeof express],
  ])('in %s, reaches the error handler of the app', async (_name, create) => {
    const onError: ErrorRequestHandler = (error: Error, _request, response, _next) => {
      response.status(500).send(error.message)
    }
    const app = create().use(breaking).use('/sms', router).use(onError)
    expect(await post(app)).toMatchObject({ status: 500, body: 'The middleware failed' })
    expect(await status()).toBe('retrying')
  })

  test('without Express, ends the connection, and the process goes on', async () => {
    const port = await listen((request, response) =>
      breaking(request as never, response as never, () => router(request, response)),
    )
    const callback = (): Promise<Response> =>
      fetch(`http://127.0.0.1:${port}/sms/twilio/status`, { method: 'POST', body: new URLSearchParams() })
    await expect(callback()).rejects.toThrow('fetch failed')
    await expect(callback()).rejects.toThrow('fetch failed')
  })
})

describe('statusCallbackRouter mounted after a body parser of the app', () => {
  const parsers: readonly [what: string, parser: RequestHandler, expected: number][] = [
    ['express.json()', express.json(), 204],
    ['express.urlencoded({ extended: false })', express.urlencoded({ extended: false }), 204],
    ['express.urlencoded({ extended: true })', express.urlencoded({ extended: true }), 204],
    // These lose the fields, so the signature cannot be checked.
    ['express.text() for everything', express.text({ type: '*/*' }), 403],
    ['express.raw() for everything', express.raw({ type: '*/*' }), 403],
    [
      'a parser that keeps nothing',
      (request, _response, next) => void request.resume().once('end', next),
      403,
    ],
    [
      'a middleware that decodes the body',
      (request, _response, next) => next(void request.setEncoding('latin1')),
      403,
    ],
  ]

  test.each(
    parsers,
  )('%s: a genuine callback is recorded, or refused because its fields are lost', async (_what, parser, expected) => {
    const app = express().use(parser).use('/sms', router)
    const answer = await post(app)
    expect(answer).toMatchObject({ status: expected })
    expect(endpoint.resultOf(answer)).toBe(expected === 204 ? 'accepted' : 'body_already_read')
    expect(await status()).toBe(expected === 204 ? 'retrying' : 'unknown')
  })

  test.each(parsers)('%s: a forged callback is answered 403', async (_what, parser) => {
    const app = express().use(parser).use('/sms', router)
    expect(await post(app, { authToken: 'somebody else' })).toMatchObject({ status: 403 })
    expect(await status()).toBe('unknown')
  })

  test.each(
    parsers.slice(0, 3),
  )('%s: an unsigned callback with an empty body is answered 403', async (_what, parser) => {
    const app = express().use(parser).use('/sms', router)
    const answer = await post(app, { body: '', headers: { 'X-Twilio-Signature': null } })
    expect(answer).toMatchObject({ status: 403 })
    expect(endpoint.resultOf(answer)).toBe('bad_signature')
  })

  test('a field with brackets, which the parser turns into an object, is refused without an error in the log', async () => {
    const app = express()
      .use(express.urlencoded({ extended: true }))
      .use('/sms', router)
    const fields = { ...endpoint.undelivered(endpoint.ACCOUNT_SID, row.sid), 'a[b]': '1', 'c[]': '2' }
    const { status: answered } = await post(app, { fields })
    expect([400, 403]).toContain(answered)
    expect(await status()).toBe('unknown')
    expect(log.filter(({ level }) => level === 'error')).toEqual([])
  })
})

test.each([
  'a[toString]=x',
  'a[b][c]=1',
  'a[][b]=1',
])('an unsigned %s, which a parser turned into an object, is refused without an error in the log', async (body) => {
  const app = express()
    .use(express.urlencoded({ extended: true }))
    .use('/sms', router)
  const { status: answered } = await post(app, { body, authToken: 'somebody else' })
  expect([400, 403]).toContain(answered)
  expect(log.filter(({ level }) => level === 'error')).toEqual([])
})

test('several routers in one app do not affect each other', async () => {
  const other = statusCallbackRouter({ ...options(), publicBaseUrl: 'https://shop.example.com/other' })
  const app = express().use('/other', other).use('/sms', router)
  expect(await post(app)).toMatchObject({ status: 204 })
  expect(await status()).toBe('retrying')
  await other.close()
})

describe('createApp', () => {
  test('serves callbacks and health checks, without headers that reveal the framework', async () => {
    const app: Express & Closable = createApp({ ...options(), publicBaseUrl: 'https://shop.example.com' })
    const answer = await post(app, { path: endpoint.statusPath(row.id) })
    expect(answer).toMatchObject({ status: 204 })
    expect(answer.head).not.toMatch(/x-powered-by/i)
    expect(await status()).toBe('retrying')
    const port = (server?.address() as AddressInfo).port
    for (const [path, expected] of [
      ['/healthz', 200],
      ['/readyz', 200],
      ['/nothing', 404],
    ] as const) {
      expect(await fetch(`http://127.0.0.1:${port}${path}`)).toMatchObject({ status: expected })
    }
    await app.close()
  })

  test('works mounted in an app, below the prefix', async () => {
    const inner = createApp(options())
    expect(await post(express().use('/sms', inner))).toMatchObject({ status: 204 })
    expect(await status()).toBe('retrying')
    await inner.close()
  })

  test('works mounted in an app of Express 4', async () => {
    const inner = createApp(options())
    const app = express4().use('/sms', inner)
    const port = await listen(app)
    const target = { port, publicBaseUrl: 'https://shop.example.com', authToken: endpoint.AUTH_TOKEN }
    const fields = endpoint.undelivered(endpoint.ACCOUNT_SID, row.sid)
    const path = `/sms${endpoint.statusPath(row.id)}`
    expect(await endpoint.post(target, { path, fields })).toMatchObject({ status: 204 })
    expect(await status()).toBe('retrying')
    for (const [page, expected] of [
      ['/sms/healthz', 200],
      ['/sms/readyz', 200],
      ['/sms/nothing', 404],
    ] as const) {
      expect(await fetch(`http://127.0.0.1:${port}${page}`)).toMatchObject({ status: expected })
    }
    await inner.close()
  })

  test('can be closed twice, and before its first request', async () => {
    const app = createApp(options())
    await app.close()
    await app.close()
  })

  test.each([createApp, statusCallbackRouter])('$name without settings names every missing one', (create) => {
    const error = thrownBy(() => create({ logger: capturingLogger(log) }))
    expect(error).toBeInstanceOf(ConfigError)
    for (const name of ['DATABASE_URL', 'PUBLIC_BASE_URL', 'TWILIO_ACCOUNT_SID', 'TWILIO_AUTH_TOKEN']) {
      expect(String(error)).toContain(name)
    }
  })
})

function thrownBy(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  return undefined
}
