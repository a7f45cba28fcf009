// createStatusCallbackHandler called with the Request that a framework passes on: which URLs and bodies it accepts, and how
// it answers. The refused callbacks of all frameworks are tested in refused-callbacks.test.ts.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import webhooks from 'twilio/lib/webhooks/webhooks.js'
import { type Closable, createStatusCallbackHandler, type StatusCallbackHandler } from '../../src/index.ts'
import { statusCallbackUrl } from '../../src/twilio/status-callback.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { capturingLogger, type LogLine } from '../support/world.ts'
import * as endpoint from './endpoint.ts'

const PUBLIC_BASE_URL = 'https://shop.example.com/sms'
const RESULT = 'Sms-Retry-Result'

let database: TestDatabase
let handle: StatusCallbackHandler & Closable
let row: endpoint.ForeignRow
const log: LogLine[] = []

beforeAll(async () => {
  database = await createTestDatabase()
  handle = createHandler()
})

afterAll(async () => {
  await handle.close()
  await database.drop()
})

function createHandler(): StatusCallbackHandler & Closable {
  return createStatusCallbackHandler({
    databaseUrl: database.url,
    publicBaseUrl: PUBLIC_BASE_URL,
    twilio: { accountSid: endpoint.ACCOUNT_SID, authToken: endpoint.AUTH_TOKEN },
    logger: capturingLogger(log),
  })
}

beforeEach(async () => {
  row = await endpoint.insertSentRow(database)
  log.splice(0)
})

interface Change {
  /** Of the request. */
  readonly url?: string
  readonly signedUrl?: string
  readonly body?: RequestInit['body']
}

const fields = () => endpoint.undelivered(endpoint.ACCOUNT_SID, row.sid)
const signedUrlOf = (search: string): string => `${PUBLIC_BASE_URL}/twilio/status${search}`
const searchOf = (): string => `?message=${row.id}&attempt=0`

/** The genuine callback with changes. */
function callback({ url, signedUrl = signedUrlOf(searchOf()), body }: Change = {}): Request {
  return new Request(url ?? `http://127.0.0.1:3000/twilio/status${searchOf()}`, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/x-www-form-urlencoded; charset=UTF-8',
      'X-Twilio-Signature': webhooks.getExpectedTwilioSignature(endpoint.AUTH_TOKEN, signedUrl, fields()),
    },
    body: body ?? endpoint.encode(fields()),
    // Required by fetch for a body that is a stream.
    duplex: 'half',
  } as RequestInit)
}

async function statusOf(): Promise<unknown> {
  const [found] = await database.query('select final_status from sms_usage_logs where id = $1', [row.id])
  return found?.['final_status']
}

test('a genuine callback is recorded and answered 204 without a body', async () => {
  const response = await handle(callback())
  expect(response).toMatchObject({ status: 204, body: null })
  expect(response.headers.get(RESULT)).toBe('accepted')
  expect(await statusOf()).toBe('retrying')
})

test.each([
  'http://127.0.0.1:3000/sms/twilio/status',
  'https://other.example.com/twilio/status',
  'http://127.0.0.1:3000/shop/api/callbacks',
])('a genuine callback is recorded when the framework reports its address as %s', async (url) => {
  expect((await handle(callback({ url: url + searchOf() }))).status).toBe(204)
  expect(await statusOf()).toBe('retrying')
})

describe('the signed query survives new Request', () => {
  test.each([
    ['no query', ''],
    ['a question mark alone', '?'],
    ['every kind of character that a URL may contain', "?a=-._~!$()*+,;:@/?%20%27%5B%00%zz&b=[]{}|\\^`&'"],
    ['a space, a quotation mark and other scripts', '?who=O\'Hara "電話" <x>'],
  ])('%s', async (_what, search) => {
    const url = `http://127.0.0.1:3000/twilio/status${search}`
    // Twilio signs the URL with these escapes, as it sends them over HTTP.
    const { href } = new URL(signedUrlOf(search))
    expect((await handle(callback({ url, signedUrl: href }))).status).toBe(204)
  })

  test('every character of a URL that sms-retry itself makes', () => {
    const key = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-'
    const [url = ''] = statusCallbackUrl(PUBLIC_BASE_URL, { messageId: 5, attempt: 1, key }).split('#')
    expect(new Request(url).url).toBe(url)
  })
})

describe('a body', () => {
  test('in small chunks is put together', async () => {
    const text = endpoint.encode(fields())
    const body = new ReadableStream({
      start(controller) {
        for (const byte of Buffer.from(text)) controller.enqueue(Uint8Array.of(byte))
        controller.close()
      },
    })
    expect((await handle(callback({ body }))).status).toBe(204)
    expect(await statusOf()).toBe('retrying')
  })

  test('without an end is refused at the limit, and no more of it is read', async () => {
    let chunks = 0
    let isCanceled = false
    const body = new ReadableStream({
      pull(controller) {
        chunks += 1
        controller.enqueue(Buffer.alloc(1_024, 'x'))
      },
      cancel() {
        isCanceled = true
      },
    })
    const response = await handle(callback({ body }))
    expect(response.status).toBe(413)
    expect(response.headers.get(RESULT)).toBe('too_large')
    expect(await response.text()).toBe('Too large\n')
    expect(isCanceled).toBe(true)
    // The limit is 16 KB; streams read some chunks in advance.
    expect(chunks).toBeLessThan(200)
  })

  test('that breaks off is refused', async () => {
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(Buffer.from('MessageSid='))
        controller.error(new Error('the connection was reset'))
      },
    })
    const response = await handle(callback({ body }))
    expect(response.status).toBe(400)
    expect(response.headers.get(RESULT)).toBe('unreadable')
  })

  test.each<[how: string, take: (request: Request) => unknown]>([
    ['read', (request) => request.text()],
    ['read by a reader that released it', readAndRelease],
    ['locked', (request) => request.body?.getReader()],
  ])('that was %s before is refused, and the log names the reason', async (_how, take) => {
    const request = callback()
    await take(request)
    const response = await handle(request)
    expect(response.status).toBe(403)
    expect(response.headers.get(RESULT)).toBe('body_already_read')
    expect(log).toMatchObject([{ level: 'error', message: expect.stringContaining('has read the form') }])
  })
})

async function readAndRelease({ body }: Request): Promise<void> {
  const reader = body?.getReader()
  await reader?.read()
  reader?.releaseLock()
}

test('the log of forged callbacks has no address, and the limit covers them', async () => {
  // The log of another handler may have such a line already, and would leave out this one.
  const other = createHandler()
  const forge = (): Promise<Response> => other(callback({ signedUrl: 'https://evil.example/twilio/status' }))
  const statuses = new Set<number>()
  // A busy machine may need longer for a flood than the limit's window of 10 s.
  while (!statuses.has(429)) {
    const answers = await Promise.all(Array.from({ length: 100 }, forge))
    for (const { status } of answers) statuses.add(status)
  }
  expect(statuses).toEqual(new Set([403, 429]))
  expect((await other(callback())).status).toBe(204)
  expect(log[0]).toMatchObject({ level: 'warn', fields: { address: undefined } })
  await other.close()
})

test('a handler can be closed twice, and before its first request', async () => {
  const other = createHandler()
  await other.close()
  await other.close()
})
