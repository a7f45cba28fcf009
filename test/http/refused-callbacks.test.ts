// Callbacks that must be refused, in every framework. Each differs in one point from the callback at the end of this file,
// which is recorded, so the name of each test is the reason for the refusal.
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { CLOSED_PORT } from '../support/closed-port.ts'
import { callbackFields, newSid } from '../support/callbacks.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { capturingLogger, type LogLine } from '../support/world.ts'
import * as endpoint from './endpoint.ts'
import { MOUNT, type RunningStack, STACKS } from './stacks.ts'

const PUBLIC_BASE_URL = `https://shop.example.com${MOUNT}`
/** The HTTP status of each result code. */
const STATUS = {
  bad_signature: 403,
  body_already_read: 403,
  other_account: 403,
  unreadable: 400,
  too_large: 413,
  wrong_type: 415,
  not_recorded: 503,
}
type Refusal = keyof typeof STATUS

let database: TestDatabase
let log: LogLine[]
let stack: RunningStack
let row: endpoint.ForeignRow
let before: unknown

beforeAll(async () => {
  database = await createTestDatabase()
})

afterAll(() => database.drop())

beforeEach(async () => {
  row = await endpoint.insertSentRow(database)
  before = await endpoint.fingerprint(database)
})

function options(databaseUrl = database.url) {
  return {
    databaseUrl,
    publicBaseUrl: PUBLIC_BASE_URL,
    twilio: { accountSid: endpoint.ACCOUNT_SID, authToken: endpoint.AUTH_TOKEN },
    logger: capturingLogger(log),
  }
}

/** Runs after every test in a describe block. */
async function nothingHappened(): Promise<void> {
  expect(await endpoint.fingerprint(database)).toEqual(before)
  expect((await fetch(`http://127.0.0.1:${stack.port}/healthz`)).status).toBe(200)
  expect(log.filter(({ level }) => level === 'error')).toEqual([])
  expect(endpoint.personalLines(log)).toEqual([])
}

type Changes = Partial<endpoint.CallbackRequest>

/** The genuine callback with changes. It is signed as it is sent, unless a change says otherwise. */
function post({ path = endpoint.statusPath(row.id), ...change }: Changes = {}): Promise<endpoint.Answer> {
  const target = { port: stack.port, publicBaseUrl: PUBLIC_BASE_URL, authToken: endpoint.AUTH_TOKEN }
  return endpoint.post(target, { path: MOUNT + path, fields: good(), signedUrl: url(path), ...change })
}

function expectRefused(answer: endpoint.Answer, refusal: Refusal): void {
  expect({ status: answer.status, result: endpoint.resultOf(answer) }).toEqual({
    status: STATUS[refusal],
    result: refusal,
  })
}

function good(extra: Record<string, string> = {}): endpoint.Fields {
  return endpoint.undelivered(endpoint.ACCOUNT_SID, row.sid, extra)
}

function without(...names: string[]): endpoint.Fields {
  return Object.fromEntries(Object.entries(good()).filter(([name]) => !names.includes(name)))
}

/** The changes are functions, because the row does not exist yet when the table is defined. */
type Case = readonly [what: string, refusal: Refusal, change: () => Changes]

describe.each(STACKS)('%s', (_framework, start) => {
  beforeAll(async () => {
    log = []
    stack = await start(options())
  })

  afterAll(() => stack.close())

  // A line of another test would be attributed to this one.
  beforeEach(() => void log.splice(0))

  describe('a callback not signed by Twilio is refused', () => {
    afterEach(nothingHappened)
    test.each<Case>([
      ['no signature', 'bad_signature', () => ({ headers: { 'X-Twilio-Signature': null } })],
      ['an empty signature', 'bad_signature', () => ({ headers: { 'X-Twilio-Signature': '' } })],
      [
        'a forged signature',
        'bad_signature',
        () => ({ headers: { 'X-Twilio-Signature': 'L/OH5YylLD5NRKLltdqwSvS0BnU=' } }),
      ],
      [
        'the signature of another token',
        'bad_signature',
        () => ({ authToken: 'not the token of this account' }),
      ],
      [
        'a signature made for another message',
        'bad_signature',
        () => ({ signedUrl: url(endpoint.statusPath(row.id + 1)) }),
      ],
      [
        'a signature made for another attempt',
        'bad_signature',
        () => ({ signedUrl: url(endpoint.statusPath(row.id, 1)) }),
      ],
      ['a signature made for no query', 'bad_signature', () => ({ signedUrl: url('/twilio/status') })],
      [
        'a signature made for another host',
        'bad_signature',
        () => ({ signedUrl: `https://evil.example${endpoint.statusPath(row.id)}` }),
      ],
      [
        'a field changed after signing',
        'bad_signature',
        () => ({ signedFields: good({ MessageStatus: 'sent' }) }),
      ],
      [
        'a field added after signing',
        'bad_signature',
        () => ({ fields: good({ New: '1' }), signedFields: good() }),
      ],
      [
        'a field removed after signing',
        'bad_signature',
        () => ({ fields: without('To'), signedFields: good() }),
      ],
      [
        'an empty body without a signature',
        'bad_signature',
        () => ({ body: '', headers: { 'X-Twilio-Signature': null } }),
      ],
      [
        'another account, signed',
        'other_account',
        () => ({ fields: good({ AccountSid: `AC${'f'.repeat(32)}` }) }),
      ],
    ])('%s: %s', async (_what, refusal, change) => {
      expectRefused(await post(change()), refusal)
    })
  })

  // An app may have given Twilio such a URL before it used sms-retry. The twilio package reads 1,000 pairs of a query when it
  // checks a signature.
  test.each([
    0, 1, 998, 999, 1000, 3000,
  ])("message and attempt appended after %i separators to an app's own signed query do not change another message", async (separators) => {
    const other = await endpoint.insertSentRow(database)
    const read = () => database.query('select xmin::text, * from sms_usage_logs where id = $1', [other.id])
    const before = await read()
    const added = `${'&'.repeat(separators)}&message=${other.id}&attempt=0`
    const { status } = await post({
      path: `/twilio/status?order=5${added}`,
      signedUrl: url('/twilio/status?order=5'),
      fields: callbackFields(endpoint.ACCOUNT_SID, row.sid, 'delivered'),
    })
    expect([204, 403]).toContain(status)
    expect(await read()).toEqual(before)
  })

  describe('a signed request that is not a valid callback is refused', () => {
    afterEach(nothingHappened)
    test.each<Case>([
      ['an empty body', 'unreadable', () => ({ fields: {} })],
      [
        'a status that is not a word',
        'unreadable',
        () => ({ fields: good({ MessageStatus: 'tele ported' }) }),
      ],
      ['a status of inbound messages', 'unreadable', () => ({ fields: good({ MessageStatus: 'received' }) })],
      ['two statuses that differ', 'unreadable', () => ({ fields: good({ SmsStatus: 'delivered' }) })],
      ['no sid', 'unreadable', () => ({ fields: without('MessageSid') })],
      ['no status', 'unreadable', () => ({ fields: without('MessageStatus') })],
      ['no account', 'unreadable', () => ({ fields: without('AccountSid') })],
      [
        'a repeated field',
        'unreadable',
        () => ({ fields: { ...good(), To: ['+12065550199', '+12065550198'] } }),
      ],
      [
        'a repeated status',
        'unreadable',
        () => ({ fields: { ...good(), MessageStatus: ['delivered', 'sent'] } }),
      ],
      ['a NUL byte', 'unreadable', () => ({ fields: good({ ErrorMessage: 'a\0b' }) })],
      ['an error code of letters', 'unreadable', () => ({ fields: good({ ErrorCode: 'abc' }) })],
      ['a negative error code', 'unreadable', () => ({ fields: good({ ErrorCode: '-1' }) })],
      ['an endless error code', 'unreadable', () => ({ fields: good({ ErrorCode: '3'.repeat(400) }) })],
      ['a query without the attempt', 'unreadable', () => ({ path: `/twilio/status?message=${row.id}` })],
      [
        'a message that is not a number',
        'unreadable',
        () => ({ path: '/twilio/status?message=one&attempt=0' }),
      ],
      ['a negative message', 'unreadable', () => ({ path: `/twilio/status?message=-${row.id}&attempt=0` })],
      [
        'a huge message',
        'unreadable',
        () => ({ path: `/twilio/status?message=${'9'.repeat(40)}&attempt=0` }),
      ],
      ['a huge attempt', 'unreadable', () => ({ path: `${endpoint.statusPath(row.id)}${'0'.repeat(20)}1` })],
      [
        'two messages',
        'unreadable',
        () => ({ path: `${endpoint.statusPath(row.id)}&message=${row.id + 1}` }),
      ],
      [
        'the message twice',
        'unreadable',
        () => ({ path: `${endpoint.statusPath(row.id)}&message=${row.id}` }),
      ],
    ])('%s: %s', async (_what, refusal, change) => {
      expectRefused(await post(change()), refusal)
    })
  })

  // Twilio signs sorted names and values as one string, so the boundaries between fields are not signed.
  describe('a callback whose fields are split elsewhere under the same signature is refused', () => {
    afterEach(nothingHappened)
    test.each<Case>([
      [
        'the status is hidden in the sid',
        'unreadable',
        () => recut({ MessageSid: `${row.sid}MessageStatusundelivered` }, 'MessageStatus'),
      ],
      [
        'the status is cut short',
        'unreadable',
        () => {
          const rest = `deliveredSmsSid${row.sid}SmsStatusundeliveredTo${endpoint.TO}`
          return recut({ MessageStatus: 'un', [rest]: '' }, 'SmsSid', 'SmsStatus', 'To')
        },
      ],
      [
        'the account contains the next field',
        'unreadable',
        () => recut({ AccountSid: `${endpoint.ACCOUNT_SID}ApiVersion2010-04-01` }, 'ApiVersion'),
      ],
      [
        'the error code contains the next field',
        'unreadable',
        () => recut({ ErrorCode: '30003From+12065550100' }, 'From'),
      ],
      // The rest of the sid sorts before the other fields, so the signature does not match either.
      [
        'the sid is cut short',
        'bad_signature',
        () => recut({ MessageSid: row.sid.slice(0, 20), [row.sid.slice(20)]: '' }),
      ],
      [
        'the error code is hidden in the previous field, which would allow a forbidden retry',
        'unreadable',
        () => ({
          signedFields: good({ ErrorCode: '30007' }),
          fields: { ...without('ErrorCode'), ApiVersion: '2010-04-01ErrorCode30007' },
        }),
      ],
      [
        "the error code is hidden in the previous field's name",
        'unreadable',
        () => ({
          signedFields: good({ ChannelPrefix: 'sms', ErrorCode: '30007' }),
          fields: { ...without('ErrorCode'), ChannelPrefixsmsErrorCode: '30007' },
        }),
      ],
      [
        'the query is hidden in a field',
        'unreadable',
        () => {
          const [path, query] = endpoint.statusPath(row.id).split('?')
          const signedUrl = `${PUBLIC_BASE_URL}${path}?${query}`
          return { path: `${path}`, signedUrl, ...recut({ [`?${query}`]: '' }) }
        },
      ],
      [
        'the query is hidden in a field without a name',
        'unreadable',
        () => {
          const [path, query] = endpoint.statusPath(row.id).split('?')
          const signedUrl = `${PUBLIC_BASE_URL}${path}?${query}`
          return { path: `${path}`, signedUrl, ...recut({ '': `?${query}` }) }
        },
      ],
    ])('%s: %s', async (_what, refusal, change) => {
      expectRefused(await post(change()), refusal)
    })

    function recut(cut: Record<string, string>, ...swallowed: string[]): Changes {
      return { fields: { ...without(...swallowed), ...cut }, signedFields: good() }
    }
  })

  describe('a request that is not a readable form is refused', () => {
    afterEach(nothingHappened)
    test.each<Case>([
      ['JSON', 'wrong_type', () => ({ body: '{}', headers: { 'Content-Type': 'application/json' } })],
      ['no content type', 'wrong_type', () => ({ headers: { 'Content-Type': null } })],
      ['an invalid content type', 'wrong_type', () => ({ headers: { 'Content-Type': ';;;' } })],
      ['multipart', 'wrong_type', () => ({ headers: { 'Content-Type': 'multipart/form-data; boundary=x' } })],
      ['another charset', 'wrong_type', () => ({ headers: form('; charset=utf-16') })],
      [
        'a charset in which the same bytes have another meaning',
        'wrong_type',
        () => ({ headers: form('; charset="iso-8859-1"') }),
      ],
      ['two charsets', 'wrong_type', () => ({ headers: form('; charset=utf-8; charset=utf-16') })],
      ['a charset that does not exist', 'wrong_type', () => ({ headers: form('; charset=klingon') })],
      ['an unknown encoding', 'wrong_type', () => ({ headers: { 'Content-Encoding': 'rot13' } })],
      ['broken gzip', 'unreadable', () => ({ headers: { 'Content-Encoding': 'gzip' } })],
      ['20 KB', 'too_large', () => ({ fields: good({ Padding: 'x'.repeat(20_000) }) })],
      ['20 MB in 20 KB of gzip', 'too_large', () => gzipped('x'.repeat(20_000_000))],
      [
        'one field 101 times',
        'too_large',
        () => ({ fields: { ...good(), Padding: Array(101 - 9).fill('1') } }),
      ],
      ['101 fields', 'too_large', () => ({ fields: good(padding(101 - 9)) })],
      ['no body and no length', 'wrong_type', () => ({ body: '', headers: { 'Content-Length': null } })],
    ])('%s: %s', async (_what, refusal, change) => {
      expectRefused(await post(change()), refusal)
    })

    test.each(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])('method %s: 405', async (method) => {
      expect(await post({ method })).toMatchObject({
        status: 405,
        head: expect.stringMatching(/^Allow: POST\r?$/im),
      })
    })
  })

  test('the genuine callback that the refused ones differ from is recorded, with one job', async () => {
    expect(await post()).toMatchObject({ status: 204, body: '' })
    const data = { message: row.id, attempt: 1 }
    const jobs = await endpoint.jobs(database)
    expect(jobs.filter((job) => job.data.message === row.id)).toEqual([{ data }])
  })

  test('a callback for a message that is not in the table is answered 204 and logged', async () => {
    const sid = newSid()
    const fields = endpoint.undelivered(endpoint.ACCOUNT_SID, sid)
    expect(await post({ path: endpoint.statusPath(row.id + 1), fields })).toMatchObject({ status: 204 })
    expect(await post({ path: '/twilio/status', fields })).toMatchObject({ status: 204 })
    const told = log.filter(({ level, fields: { sid: logged } }) => level === 'warn' && logged === sid)
    expect(told.map(({ fields: { messageId } }) => messageId)).toEqual([row.id + 1, undefined])
    await nothingHappened()
  })

  test('while the database is unreachable: not_recorded', async () => {
    const unreachable = new URL(database.url)
    unreachable.port = `${CLOSED_PORT}`
    const serving = stack
    stack = await start(options(unreachable.href))
    try {
      expectRefused(await post(), 'not_recorded')
      expect(await endpoint.fingerprint(database)).toEqual(before)
    } finally {
      await stack.close()
      stack = serving
    }
  })
})

function url(path: string): string {
  return PUBLIC_BASE_URL + path
}

function form(parameters: string): Record<string, string> {
  return { 'Content-Type': `application/x-www-form-urlencoded${parameters}` }
}

function gzipped(text: string): Changes {
  return { body: gzipSync(text), headers: { 'Content-Encoding': 'gzip' } }
}

function padding(fields: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: fields }, (_, i) => [`Padding${i}`, '1']))
}
