// Callbacks that must be refused. Each differs in one point from the callback at the end of this file, which is recorded, so
// the name of each test is the reason for the refusal.
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { callbackFields, newSid } from '../support/callbacks.ts'
import { startWorld, type World } from '../support/world.ts'
import * as endpoint from './endpoint.ts'

let world: World
let target: endpoint.Target
let row: endpoint.ForeignRow
let before: unknown

beforeAll(async () => {
  world = await startWorld()
  const { env, simulator } = world
  const publicBaseUrl = env['PUBLIC_BASE_URL'] ?? ''
  target = { port: Number(env['PORT']), publicBaseUrl, authToken: simulator.authToken }
})

afterAll(() => world.stop())

beforeEach(async () => {
  row = await endpoint.insertSentRow(world.database)
  before = await endpoint.fingerprint(world.database)
})

/** Runs after every test in a describe block. */
async function nothingHappened(): Promise<void> {
  expect(await endpoint.fingerprint(world.database)).toEqual(before)
  expect((await fetch(`${world.web.url}/healthz`)).status).toBe(200)
  expect(world.log.filter(({ level }) => level === 'error')).toEqual([])
  expect(endpoint.personalLines(world.log)).toEqual([])
}

type Changes = Partial<endpoint.CallbackRequest>

/** The genuine callback with changes. It is signed as it is sent, unless a change says otherwise. */
function post(change: Changes = {}): Promise<endpoint.Answer> {
  return endpoint.post(target, { path: endpoint.statusPath(row.id), fields: good(), ...change })
}

function good(extra: Record<string, string> = {}): endpoint.Fields {
  return endpoint.undelivered(world.simulator.accountSid, row.sid, extra)
}

function without(...names: string[]): endpoint.Fields {
  return Object.fromEntries(Object.entries(good()).filter(([name]) => !names.includes(name)))
}

/** The changes are functions, because the row does not exist yet when the table is defined. */
type Case = readonly [what: string, status: number, change: () => Changes]

describe('a callback not signed by Twilio is refused', () => {
  afterEach(nothingHappened)
  test.each<Case>([
    ['no signature', 403, () => ({ headers: { 'X-Twilio-Signature': null } })],
    ['an empty signature', 403, () => ({ headers: { 'X-Twilio-Signature': '' } })],
    [
      'a forged signature',
      403,
      () => ({ headers: { 'X-Twilio-Signature': 'L/OH5YylLD5NRKLltdqwSvS0BnU=' } }),
    ],
    ['the signature of another token', 403, () => ({ authToken: 'not the token of this account' })],
    [
      'a signature made for another message',
      403,
      () => ({ signedUrl: url(endpoint.statusPath(row.id + 1)) }),
    ],
    ['a signature made for another attempt', 403, () => ({ signedUrl: url(endpoint.statusPath(row.id, 1)) })],
    ['a signature made for no query', 403, () => ({ signedUrl: url('/twilio/status') })],
    [
      'a signature made for another host',
      403,
      () => ({ signedUrl: `https://evil.example${endpoint.statusPath(row.id)}` }),
    ],
    ['a field changed after signing', 403, () => ({ signedFields: good({ MessageStatus: 'sent' }) })],
    ['a field added after signing', 403, () => ({ fields: good({ New: '1' }), signedFields: good() })],
    ['a field removed after signing', 403, () => ({ fields: without('To'), signedFields: good() })],
    ['an empty body without a signature', 403, () => ({ body: '', headers: { 'X-Twilio-Signature': null } })],
    ['another account, signed', 403, () => ({ fields: good({ AccountSid: `AC${'f'.repeat(32)}` }) })],
  ])('%s: %i', async (_what, status, change) => {
    expect(await post(change())).toMatchObject({ status })
  })
})

// An app may have given Twilio such a URL before it used sms-retry. The twilio package reads 1,000 pairs of a query when it
// checks a signature.
test.each([
  0, 1, 998, 999, 1000, 3000,
])("message and attempt appended after %i separators to an app's own signed query do not change another message", async (separators) => {
  const other = await endpoint.insertSentRow(world.database)
  const read = () =>
    world.database.query('select xmin::text, * from sms_usage_logs where id = $1', [other.id])
  const before = await read()
  const added = `${'&'.repeat(separators)}&message=${other.id}&attempt=0`
  const { status } = await post({
    path: `/twilio/status?order=5${added}`,
    signedUrl: url('/twilio/status?order=5'),
    fields: callbackFields(world.simulator.accountSid, row.sid, 'delivered'),
  })
  expect([204, 403]).toContain(status)
  expect(await read()).toEqual(before)
})

describe('a signed request that is not a valid callback is refused', () => {
  afterEach(nothingHappened)
  test.each<Case>([
    ['an empty body', 400, () => ({ fields: {} })],
    ['a status that is not a word', 400, () => ({ fields: good({ MessageStatus: 'tele ported' }) })],
    ['a status of inbound messages', 400, () => ({ fields: good({ MessageStatus: 'received' }) })],
    ['two statuses that differ', 400, () => ({ fields: good({ SmsStatus: 'delivered' }) })],
    ['no sid', 400, () => ({ fields: without('MessageSid') })],
    ['no status', 400, () => ({ fields: without('MessageStatus') })],
    ['no account', 400, () => ({ fields: without('AccountSid') })],
    ['a repeated field', 400, () => ({ fields: { ...good(), To: ['+12065550199', '+12065550198'] } })],
    ['a repeated status', 400, () => ({ fields: { ...good(), MessageStatus: ['delivered', 'sent'] } })],
    ['a NUL byte', 400, () => ({ fields: good({ ErrorMessage: 'a\0b' }) })],
    ['an error code of letters', 400, () => ({ fields: good({ ErrorCode: 'abc' }) })],
    ['a negative error code', 400, () => ({ fields: good({ ErrorCode: '-1' }) })],
    ['an endless error code', 400, () => ({ fields: good({ ErrorCode: '3'.repeat(400) }) })],
    ['a query without the attempt', 400, () => ({ path: `/twilio/status?message=${row.id}` })],
    ['a message that is not a number', 400, () => ({ path: '/twilio/status?message=one&attempt=0' })],
    ['a negative message', 400, () => ({ path: `/twilio/status?message=-${row.id}&attempt=0` })],
    ['a huge message', 400, () => ({ path: `/twilio/status?message=${'9'.repeat(40)}&attempt=0` })],
    ['a huge attempt', 400, () => ({ path: `${endpoint.statusPath(row.id)}${'0'.repeat(20)}1` })],
    ['two messages', 400, () => ({ path: `${endpoint.statusPath(row.id)}&message=${row.id + 1}` })],
    ['the message twice', 400, () => ({ path: `${endpoint.statusPath(row.id)}&message=${row.id}` })],
  ])('%s: %i', async (_what, status, change) => {
    expect(await post(change())).toMatchObject({ status })
  })
})

// Twilio signs sorted names and values as one string, so the boundaries between fields are not signed.
describe('a callback whose fields are split elsewhere under the same signature is refused', () => {
  afterEach(nothingHappened)
  test.each<Case>([
    [
      'the status is hidden in the sid',
      400,
      () => recut({ MessageSid: `${row.sid}MessageStatusundelivered` }, 'MessageStatus'),
    ],
    [
      'the status is cut short',
      400,
      () => {
        const rest = `deliveredSmsSid${row.sid}SmsStatusundeliveredTo${endpoint.TO}`
        return recut({ MessageStatus: 'un', [rest]: '' }, 'SmsSid', 'SmsStatus', 'To')
      },
    ],
    [
      'the account contains the next field',
      400,
      () => recut({ AccountSid: `${world.simulator.accountSid}ApiVersion2010-04-01` }, 'ApiVersion'),
    ],
    [
      'the error code contains the next field',
      400,
      () => recut({ ErrorCode: '30003From+12065550100' }, 'From'),
    ],
    // The rest of the sid sorts before the other fields, so the signature does not match either.
    ['the sid is cut short', 403, () => recut({ MessageSid: row.sid.slice(0, 20), [row.sid.slice(20)]: '' })],
    [
      'the error code is hidden in the previous field, which would allow a forbidden retry',
      400,
      () => ({
        signedFields: good({ ErrorCode: '30007' }),
        fields: { ...without('ErrorCode'), ApiVersion: '2010-04-01ErrorCode30007' },
      }),
    ],
    [
      "the error code is hidden in the previous field's name",
      400,
      () => ({
        signedFields: good({ ChannelPrefix: 'sms', ErrorCode: '30007' }),
        fields: { ...without('ErrorCode'), ChannelPrefixsmsErrorCode: '30007' },
      }),
    ],
    [
      'the query is hidden in a field',
      400,
      () => {
        const [path, query] = endpoint.statusPath(row.id).split('?')
        const signedUrl = `${target.publicBaseUrl}${path}?${query}`
        return { path: `${path}`, signedUrl, ...recut({ [`?${query}`]: '' }) }
      },
    ],
    [
      'the query is hidden in a field without a name',
      400,
      () => {
        const [path, query] = endpoint.statusPath(row.id).split('?')
        const signedUrl = `${target.publicBaseUrl}${path}?${query}`
        return { path: `${path}`, signedUrl, ...recut({ '': `?${query}` }) }
      },
    ],
  ])('%s: %i', async (_what, status, change) => {
    expect(await post(change())).toMatchObject({ status })
  })

  function recut(cut: Record<string, string>, ...swallowed: string[]): Changes {
    return { fields: { ...without(...swallowed), ...cut }, signedFields: good() }
  }
})

describe('a request that is not a readable form is refused', () => {
  afterEach(nothingHappened)
  test.each<Case>([
    ['JSON', 415, () => ({ body: '{}', headers: { 'Content-Type': 'application/json' } })],
    ['no content type', 415, () => ({ headers: { 'Content-Type': null } })],
    ['an invalid content type', 415, () => ({ headers: { 'Content-Type': ';;;' } })],
    ['multipart', 415, () => ({ headers: { 'Content-Type': 'multipart/form-data; boundary=x' } })],
    ['another charset', 415, () => ({ headers: form('; charset=utf-16') })],
    [
      'a charset in which the same bytes have another meaning',
      415,
      () => ({ headers: form('; charset="iso-8859-1"') }),
    ],
    ['two charsets', 415, () => ({ headers: form('; charset=utf-8; charset=utf-16') })],
    ['a charset that does not exist', 415, () => ({ headers: form('; charset=klingon') })],
    ['an unknown encoding', 415, () => ({ headers: { 'Content-Encoding': 'rot13' } })],
    ['broken gzip', 400, () => ({ headers: { 'Content-Encoding': 'gzip' } })],
    ['20 KB', 413, () => ({ fields: good({ Padding: 'x'.repeat(20_000) }) })],
    ['20 MB in 20 KB of gzip', 413, () => gzipped('x'.repeat(20_000_000))],
    ['one field 101 times', 413, () => ({ fields: { ...good(), Padding: Array(101 - 9).fill('1') } })],
    ['101 fields', 413, () => ({ fields: good(padding(101 - 9)) })],
    ['no body and no length', 415, () => ({ body: '', headers: { 'Content-Length': null } })],
  ])('%s: %i', async (_what, status, change) => {
    expect(await post(change())).toMatchObject({ status })
  })

  test.each(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])('method %s: 405', async (method) => {
    expect(await post({ method })).toMatchObject({
      status: 405,
      head: expect.stringContaining('Allow: POST'),
    })
  })
})

test('the genuine callback that the refused ones differ from is recorded, with one job', async () => {
  expect(await post()).toMatchObject({ status: 204, body: '' })
  const data = { message: row.id, attempt: 1 }
  const jobs = await endpoint.jobs(world.database)
  expect(jobs.filter((job) => job.data.message === row.id)).toEqual([{ data }])
})

test('a callback for a message that is not in the table is answered 204 and logged', async () => {
  const sid = newSid()
  const fields = endpoint.undelivered(world.simulator.accountSid, sid)
  expect(await post({ path: endpoint.statusPath(row.id + 1), fields })).toMatchObject({ status: 204 })
  expect(await post({ path: '/twilio/status', fields })).toMatchObject({ status: 204 })
  const told = world.log.filter(({ level, fields: { sid: logged } }) => level === 'warn' && logged === sid)
  expect(told.map(({ fields: { messageId } }) => messageId)).toEqual([row.id + 1, undefined])
  await nothingHappened()
})

function url(path: string): string {
  return target.publicBaseUrl + path
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
