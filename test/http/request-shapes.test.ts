// Requests in unusual shapes, written to the socket byte by byte: which are accepted, which are not found, and that only
// PUBLIC_BASE_URL and the request target determine which URL was called.
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import * as endpoint from './endpoint.ts'

let database: TestDatabase
let target: endpoint.Endpoint
let row: endpoint.ForeignRow

beforeAll(async () => {
  database = await createTestDatabase()
  target = await endpoint.startEndpoint(database.url)
})

afterAll(async () => {
  await target.stop()
  await database.drop()
})

beforeEach(async () => {
  row = await endpoint.insertSentRow(database)
})

afterEach(async () => {
  expect((await fetch(`${target.url}/healthz`)).status).toBe(200)
  expect(target.log.filter(({ level }) => level === 'error')).toEqual([])
  expect(endpoint.personalLines(target.log)).toEqual([])
})

type Changes = Partial<endpoint.CallbackRequest>

function post(change: Changes = {}): Promise<endpoint.Answer> {
  return endpoint.post(target, { path: endpoint.statusPath(row.id), fields: failure(), ...change })
}

function failure(extra: Record<string, string> = {}): endpoint.Fields {
  return endpoint.undelivered(endpoint.ACCOUNT_SID, row.sid, extra)
}

async function stored(): Promise<{ final_status: string; retry_error: string | null } | undefined> {
  const [found] = await database.query<{ final_status: string; retry_error: string | null }>(
    `select final_status, sms_metadata #>> '{attempts,0,error_text}' as retry_error
       from sms_usage_logs where id = $1`,
    [row.id],
  )
  return found
}

type Case = readonly [what: string, change: () => Changes]

const FORM = 'application/x-www-form-urlencoded'

describe('a genuine callback is recorded', () => {
  test.each<Case>([
    ['without a query: the sid identifies the message', () => ({ path: '/twilio/status' })],
    ['with an empty query', () => ({ path: '/twilio/status?' })],
    ['with parameters in another order', () => ({ path: `/twilio/status?attempt=0&message=${row.id}` })],
    ['with a foreign parameter', () => ({ path: `${endpoint.statusPath(row.id)}&utm=1` })],
    ['with escaped digits', () => ({ path: `/twilio/status?message=${row.id}&attempt=%30` })],
    ['without a charset', () => ({ headers: { 'Content-Type': 'application/x-www-form-urlencoded' } })],
    [
      'with capitals in the content type',
      () => ({ headers: { 'Content-Type': 'Application/X-WWW-Form-Urlencoded' } }),
    ],
    [
      'with a charset without a value',
      () => ({ headers: { 'Content-Type': 'application/x-www-form-urlencoded; charset' } }),
    ],
    ['with a quoted charset', () => ({ headers: { 'Content-Type': `${FORM}; charset="utf-8"` } })],
    [
      'with a charset and another parameter',
      () => ({ headers: { 'Content-Type': `${FORM}; charset=utf-8 ; a=b` } }),
    ],
    ['with an empty charset', () => ({ headers: { 'Content-Type': `${FORM}; charset=` } })],
    ['with superfluous ampersands', () => ({ body: `&&${endpoint.encode(failure())}&` })],
    [
      'compressed with gzip',
      () => ({ body: gzipSync(endpoint.encode(failure())), headers: { 'Content-Encoding': 'gzip' } }),
    ],
    ['in chunks', () => chunked(endpoint.encode(failure()))],
    ['with 100 fields', () => ({ fields: failure(padding(100 - 9)) })],
    ['with a leading zero in the error code', () => ({ fields: failure({ ErrorCode: '030003' }) })],
    ['without the older names of sid and status', () => ({ fields: without('SmsSid', 'SmsStatus') })],
  ])('%s', async (_what, change) => {
    expect(await post(change())).toMatchObject({ status: 204, body: '' })
    expect(await stored()).toMatchObject({ final_status: 'retrying' })
  })

  // RFC 9112, 3.2.2: a server must accept this form. Path and query are the same as in the origin form.
  test('with an absolute request target, whatever host it names', async () => {
    const path = endpoint.statusPath(row.id)
    const answer = await post({ path: `http://other.example${path}`, signedUrl: target.publicBaseUrl + path })
    expect(answer).toMatchObject({ status: 204 })
    expect(await stored()).toMatchObject({ final_status: 'retrying' })
  })

  test.each([
    ['other scripts', 'Ошибка 電話 مشغول \u{1f4f5}\u200d\u202e', null],
    ['the symbol for NUL', '\u2400', null],
    ['half of a surrogate pair, which UTF-8 cannot encode', 'a\ud800b', 'a\ufffdb'],
    ['9,000 characters', 'x'.repeat(9000), 'x'.repeat(500)],
    ['text that looks like SQL', `'); drop table sms_usage_logs; --`, null],
    ['text that looks like JSON', '{"a":"\\u0000"}', null],
  ])('with an error message of %s', async (_what, text, kept) => {
    expect(await post({ fields: failure({ ErrorMessage: text.toWellFormed() }) })).toMatchObject({
      status: 204,
    })
    expect(await stored()).toEqual({ final_status: 'retrying', retry_error: kept ?? text })
  })

  test.each([
    ['a plus', '1+%2B', '1 +'],
    ['a percent sign that escapes nothing, next to a plus', '5%+off', '5% off'],
    ['an unescaped equals sign', 'a=b]=c', 'a=b]=c'],
  ])('with an error message that has %s', async (_what, written, meant) => {
    const body = endpoint.encode(failure({ ErrorMessage: 'HERE' })).replace('HERE', written)
    expect(await post({ fields: failure({ ErrorMessage: meant }), body })).toMatchObject({ status: 204 })
    expect(await stored()).toEqual({ final_status: 'retrying', retry_error: meant })
  })

  test('with an error message that is not UTF-8: each invalid byte becomes a replacement character', async () => {
    // The signature is checked over the decoded text.
    const fields = failure({ ErrorMessage: '\ufffd\ufffd\ufffd' })
    const body = endpoint.encode(failure({ ErrorMessage: 'HERE' })).replace('HERE', '%ED%A0%80')
    expect(await post({ fields, body })).toMatchObject({ status: 204 })
    expect(await stored()).toEqual({ final_status: 'retrying', retry_error: '\ufffd\ufffd\ufffd' })
  })
})

// A parser may read names with brackets as lists, so the signature does not match. The test does not fix which names are
// refused.
test.each([
  '__proto__',
  '__proto__[polluted]',
  'constructor',
  'constructor[prototype][polluted]',
  'hasOwnProperty',
  'toString',
  'polluted[]',
  'a[polluted]',
  '[polluted]',
  '0',
])('a callback with a field named %s is recorded without that field, or refused', async (name) => {
  const before = await endpoint.fingerprint(database)
  // In an object literal, __proto__ would set the prototype.
  const fields = Object.fromEntries([...Object.entries(failure()), [name, 'yes']])
  const { status } = await post({ fields })
  expect([204, 400, 403]).toContain(status)
  if (status === 204) expect(await stored()).toEqual({ final_status: 'retrying', retry_error: null })
  else expect(await endpoint.fingerprint(database)).toEqual(before)
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
})

describe('another path is not the endpoint, even with a valid signature', () => {
  test.each([
    '/twilio/status/',
    '/TWILIO/status',
    '/twilio/Status',
    '//twilio/status',
    '/twilio//status',
    '/twilio/%73tatus',
    '/twilio/./status',
    '/twilio/x/../status',
    '/twilio/status;x',
    '/twilio/status%00',
    '/twilio/status.json',
    '/sms/twilio/status',
    '/',
  ])('%s is answered 404', async (path) => {
    const { search } = new URL(endpoint.statusPath(row.id), 'http://x')
    const before = await endpoint.fingerprint(database)
    expect(await post({ path: path + search })).toMatchObject({ status: 404 })
    expect(await endpoint.fingerprint(database)).toEqual(before)
  })
})

describe('headers do not determine which URL was called', () => {
  const claims: readonly [name: string, value: string][] = [
    ['Host', 'evil.example'],
    ['X-Forwarded-Host', 'evil.example'],
    ['X-Forwarded-Proto', 'http'],
    ['X-Forwarded-Port', '8443'],
    ['X-Forwarded-Prefix', '/evil'],
    ['X-Original-URL', '/evil'],
    ['X-Rewrite-URL', '/evil'],
    ['X-HTTP-Method-Override', 'GET'],
    ['Forwarded', 'host=evil.example;proto=http'],
  ]

  test.each(claims)('%s: %s does not invalidate a genuine signature', async (name, value) => {
    expect(await post({ headers: { [name]: value } })).toMatchObject({ status: 204 })
  })

  test.each(claims)('%s: %s does not validate a signature for another URL', async (name, value) => {
    const path = endpoint.statusPath(row.id)
    const others = ['https://evil.example', 'http://sms.example.com', 'https://sms.example.com:8443/evil']
    const before = await endpoint.fingerprint(database)
    for (const other of others) {
      const answer = await post({ headers: { [name]: value }, signedUrl: other + path })
      expect(answer).toMatchObject({ status: 403 })
    }
    expect(await endpoint.fingerprint(database)).toEqual(before)
  })
})

describe('a connection that violates HTTP is refused and does not affect others', () => {
  test.each([
    ['text that is not HTTP', 'hello\r\n\r\n'],
    ['a request without Host', 'POST /twilio/status HTTP/1.1\r\nContent-Length: 0\r\n\r\n'],
    [
      'a request with two lengths',
      'POST /twilio/status HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
    ],
    [
      'a request with a length and chunks',
      'POST /twilio/status HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['a header of 20 KB', `POST /twilio/status HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`],
  ])('%s is answered 400 or 431', async (_what, text) => {
    const { status } = await endpoint.exchange(target.port, Buffer.from(text))
    expect([400, 431]).toContain(status)
  })

  test('a body that ends too early writes nothing', async () => {
    const before = await endpoint.fingerprint(database)
    await endpoint.hangUp(target.port, 'POST /twilio/status HTTP/1.1', {
      Host: 'sms.example.com',
      'Content-Type': 'application/x-www-form-urlencoded',
      'Content-Length': '500',
    })
    expect(await endpoint.fingerprint(database)).toEqual(before)
    expect(await post()).toMatchObject({ status: 204 })
  })
})

function without(...names: string[]): endpoint.Fields {
  return Object.fromEntries(Object.entries(failure()).filter(([name]) => !names.includes(name)))
}

function padding(fields: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: fields }, (_, i) => [`Padding${i}`, '1']))
}

function chunked(text: string): Changes {
  const half = Math.floor(text.length / 2)
  const chunks = [text.slice(0, half), text.slice(half), '']
  const body = chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')
  return { body, headers: { 'Content-Length': null, 'Transfer-Encoding': 'chunked' } }
}
