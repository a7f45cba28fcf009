// Tests the format of status callbacks: what is read, and that nothing is guessed.
import { describe, expect, test } from '@jest/globals'
import { TWILIO_STATUSES } from '../../src/delivery/status.ts'
import { parseStatusCallback, statusCallbackUrl } from '../../src/twilio/status-callback.ts'
import { callbackFields, newSid } from '../support/callbacks.ts'

const ACCOUNT = `AC${'0123456789abcdef'.repeat(2)}`
const SID = newSid()
const SEARCH = '?message=41&attempt=2'

/** A callback with changed fields; undefined removes a field. */
function parse(extra: Record<string, string | string[] | undefined> = {}, search = SEARCH) {
  const fields = Object.entries({ ...callbackFields(ACCOUNT, SID, 'undelivered'), ...extra })
  return parseStatusCallback(search, Object.fromEntries(fields.filter(([, value]) => value !== undefined)))
}

const KEY = 'Zk3-_0aBcDeFgHiJ'

test.each([
  [KEY, `attempt=2&key=${KEY}&message=41`],
  [null, 'attempt=2&message=41'],
])('the callback URL has message and attempt with the key %s, and is parsed back', (key, query) => {
  const origin = { messageId: 41, attempt: 2, key }
  const url = new URL(statusCallbackUrl('https://sms.example.com/prefix', origin))
  expect(url.href.replace(url.hash, '')).toBe(`https://sms.example.com/prefix/twilio/status?${query}`)
  expect(parse({}, url.search)).toMatchObject({ origin })
})

test('a proxy that sorts the query does not change the callback URL', () => {
  const url = new URL(statusCallbackUrl('https://sms.example.com', { messageId: 41, attempt: 2, key: KEY }))
  const { href } = url
  url.searchParams.sort()
  expect(url.href).toBe(href)
})

test('the fragment of the callback URL asks Twilio for the maximum of retries, also after a 5xx or a time-out', () => {
  const { hash } = new URL(
    statusCallbackUrl('https://sms.example.com', { messageId: 41, attempt: 2, key: null }),
  )
  expect(hash).toBe('#ct=2000&rt=5000&rc=5&rp=5xx,ct,rt')
})

test('a callback of a failure is read with its code and text', () => {
  expect(parse({ ErrorCode: '30003', ErrorMessage: 'Unreachable' })).toEqual({
    accountSid: ACCOUNT,
    sid: SID,
    status: 'undelivered',
    errorCode: 30003,
    errorText: 'Unreachable',
    to: '+12065550199',
    origin: { messageId: 41, attempt: 2, key: null },
  })
})

test.each(TWILIO_STATUSES)('the status %s is read', (status) => {
  expect(parse({ MessageStatus: status, SmsStatus: status })).toMatchObject({ status })
})

test('unknown fields of a callback are ignored, because Twilio adds some without notice', () => {
  expect(parse({ RawDlrDoneDate: '2401011200', ChannelToAddress: '+1XXX', NewThing: '1' })).toEqual(parse())
})

test('a callback may lack the older names of sid and status', () => {
  expect(parse({ SmsSid: undefined, SmsStatus: undefined })).toEqual(parse())
})

describe('the query of a callback identifies message and attempt, or nothing:', () => {
  test.each([
    ['', null],
    ['?', null],
    ['?other=1', null],
    ['?message=1&attempt=0', { messageId: 1, attempt: 0, key: null }],
    ['?attempt=0&message=1', { messageId: 1, attempt: 0, key: null }],
    ['?message=1&attempt=0&other=1', { messageId: 1, attempt: 0, key: null }],
    ['?message=9007199254740991&attempt=999', { messageId: 2 ** 53 - 1, attempt: 999, key: null }],
    [`?attempt=0&key=${KEY}&message=1`, { messageId: 1, attempt: 0, key: KEY }],
    [`?message=1&key=${KEY}&attempt=0`, { messageId: 1, attempt: 0, key: KEY }],
    [`?key=${KEY}`, null],
    ['?order=5&other=1&order=6', null],
  ])('%s', (search, origin) => {
    expect(parse({}, search)).toMatchObject({ sid: SID, origin })
  })

  test.each([
    '?message=1',
    '?attempt=0',
    '?message=&attempt=',
    '?message=1&attempt=',
    '?message=0&attempt=0',
    '?message=9007199254740992&attempt=0',
    '?attempt=0&key=&message=1',
    '?attempt=0&key=short&message=1',
    `?attempt=0&key=${KEY}&key=${KEY}&message=1`,
    '?message=-1&attempt=0',
    '?message=1&attempt=-1',
    '?message=1.5&attempt=0',
    '?message=1e3&attempt=0',
    '?message=0x10&attempt=0',
    '?message=%201&attempt=0',
    '?message=1%0A&attempt=0',
    '?message=%D9%A1&attempt=0',
    '?message=1&message=1&attempt=0',
    '?message=1&message=2&attempt=0',
    '?message=1&attempt=0&attempt=1',
    '?message=1&attempt=1000',
    '?message=9999999999999999&attempt=0',
    '?message=NaN&attempt=Infinity',
    "?message=1'--&attempt=0",
  ])('%s is invalid', (search) => {
    expect(parse({}, search)).toEqual({ unreadable: expect.stringContaining('in the URL') })
  })
})

describe('an invalid callback is rejected without repeating a value:', () => {
  test.each([
    ['no AccountSid', { AccountSid: undefined }],
    ['an AccountSid that contains the next field', { AccountSid: `${ACCOUNT}ApiVersion2010-04-01` }],
    ['an AccountSid with a line break', { AccountSid: `${ACCOUNT}\n` }],
    ['a sid with its older name only', { MessageSid: undefined }],
    ['a MessageSid that contains the status', { MessageSid: `${SID}MessageStatusundelivered` }],
    ['a truncated MessageSid', { MessageSid: SID.slice(0, -1) }],
    ['a MessageSid with a line break', { MessageSid: `${SID}\n` }],
    ['a sid of another resource', { MessageSid: SID.replace('SM', 'CA') }],
    ['a status with its older name only', { MessageStatus: undefined }],
    ['two names of the status with different values', { SmsStatus: 'delivered' }],
    ['a status of an inbound message', { MessageStatus: 'received' }],
    ['a status in capitals', { MessageStatus: 'DELIVERED' }],
    ['a status with a space', { MessageStatus: 'delivered ' }],
    ['a repeated field', { To: ['+12065550199', '+12065550199'] }],
    ['a NUL byte in a field that is read', { ErrorMessage: 'a\0b' }],
    ['a NUL byte in a field that is not read', { To: '\0' }],
  ])('%s', (_what, extra) => {
    const result = parse(extra)
    expect(result).toEqual({ unreadable: expect.any(String) })
    expect(JSON.stringify(result)).not.toMatch(/\+1|SM[0-9a-f]{8}|AC[0-9a-f]{8}|teleported/)
  })

  test.each([
    'abc',
    '-1',
    '1e4',
    '30003.0',
    ' 30003',
    '30003 ',
    '1234567',
    '\u0663\u0660',
    '0x7533',
    'NaN',
  ])('the error code %j', (ErrorCode) => {
    expect(parse({ ErrorCode })).toEqual({ unreadable: expect.stringContaining('ErrorCode') })
  })

  // Fields are signed as one string, so a field can be hidden inside the previous one.
  test.each([
    ['the previous value contains', { ApiVersion: '2010-04-01ErrorCode30007' }],
    ['the previous name contains', { ChannelPrefixsmsErrorCode: '30007' }],
    ['the previous name contains, with its value', { ChannelPrefixsmsErrorCode30007: '' }],
    ['is split between the fields around it', { ApiVersion: '2010-04-01Error', Code30007: '' }],
    ['has too long a name', { ErrorCode3: '0007' }],
    ['has too short a name', { ErrorCod: 'e30007' }],
  ])('an ErrorCode that %s', (_what, extra) => {
    expect(parse(extra)).toEqual({ unreadable: expect.any(String) })
  })

  test.each([
    '',
    '0',
    '?message=1&attempt=0',
    'a b',
    'a[b]',
    'Ünlaut',
    'a-b',
    'a\0',
    '2&attempt',
  ])('a field with the invalid name %j, which could be a part of the URL or of a value', (name) => {
    expect(parse({ [name]: '' })).toEqual({ unreadable: expect.any(String) })
  })
})

test.each([
  ['missing', undefined, null],
  ['empty', '', null],
  ['0, which means none', '0', null],
  ['a code', '30008', 30008],
])('the error code of a callback can be %s', (_what, ErrorCode, errorCode) => {
  expect(parse({ ErrorCode })).toMatchObject({ errorCode })
})

describe("Twilio's error text is kept as PostgreSQL can store it:", () => {
  test.each([
    ['other scripts', 'Nicht zustellbar: 電話, مشغول, \u{1f4f5}', 'Nicht zustellbar: 電話, مشغول, \u{1f4f5}'],
    ['a high surrogate', 'a\ud800b', 'a\ufffdb'],
    ['a low surrogate', 'a\udc00', 'a\ufffd'],
    ['bidirectional controls', '\u202eabc', '\u202eabc'],
    ['nothing', '', null],
    ['a long text', 'x'.repeat(5000), 'x'.repeat(500)],
    ['a pair at the limit', `${'x'.repeat(499)}\u{1f4f5}`, `${'x'.repeat(499)}\ufffd`],
  ])('%s', (_what, ErrorMessage, errorText) => {
    expect(parse({ ErrorMessage })).toMatchObject({ errorText })
  })
})

test.each([
  'partially_delivered',
  'teleported',
  'retrying',
  'constructor',
])('the status %s, which Twilio may have added, is unknown but not invalid', (status) => {
  const parsed = parse({ MessageStatus: status, SmsStatus: status })
  expect(parsed).toEqual({ unknownStatus: status, accountSid: expect.stringMatching(/^AC/), sid: SID })
})
