// Requests such as nobody should send, and such as Twilio sends, drawn by fast-check. A request names its row by a
// number only, so that the same seed makes the same requests whatever ids the database gives.
import fc from 'fast-check'

/** One field of a form. */
export interface Pair {
  readonly name: string
  readonly value: string
}

export interface ArbitraryRequest {
  /** As Twilio would send it: it is to be taken. */
  readonly isGenuine: boolean
  readonly method: string
  readonly path: string
  /** What follows the path; null for the query that we give our own callbacks. */
  readonly query: string | null
  /** The row that the query and the sid name. */
  readonly row: number
  readonly pairs: readonly Pair[]
  /** Sent instead of the fields. */
  readonly body: Uint8Array | null
  readonly signedBy: 'twilio' | 'another token' | 'nobody'
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly framing: 'length' | 'chunks' | 'too short' | 'too long' | 'none'
}

/** Stand for what is known once there are rows. */
export const SID = '<sid>'
export const ACCOUNT = '<account>'
export const ROWS = 6

const STATUSES = [
  'accepted',
  'scheduled',
  'queued',
  'sending',
  'sent',
  'delivered',
  'undelivered',
  'failed',
  'read',
  'canceled',
]
const CODES = ['30003', '30001', '30005', '30007', '39999', '0', '']

const row = fc.nat(ROWS - 1)

const genuine: fc.Arbitrary<ArbitraryRequest> = fc.record({
  isGenuine: fc.constant(true),
  method: fc.constant('POST'),
  path: fc.constant('/twilio/status'),
  query: fc.constantFrom(null, ''),
  row,
  pairs: fc
    .record({
      status: fc.constantFrom(...STATUSES),
      code: fc.constantFrom(...CODES),
      text: fc.string({ unit: 'grapheme' }),
    })
    .map(({ status, code, text }) => callbackPairs(status, code, text.replaceAll('\0', ''))),
  body: fc.constant(null),
  signedBy: fc.constant('twilio'),
  headers: fc.constant([]),
  framing: fc.constantFrom('length', 'chunks'),
})

function callbackPairs(status: string, code: string, text: string): Pair[] {
  return Object.entries({
    AccountSid: ACCOUNT,
    MessageSid: SID,
    SmsSid: SID,
    MessageStatus: status,
    SmsStatus: status,
    ErrorCode: code,
    ErrorMessage: text,
    From: '+12065550100',
    To: '+12065550199',
    ApiVersion: '2010-04-01',
  }).map(([name, value]) => ({ name, value }))
}

/** In all but the signature. */
const forged: fc.Arbitrary<ArbitraryRequest> = fc
  .record({ request: genuine, signedBy: fc.constantFrom('another token', 'nobody') })
  .map(({ request, signedBy }) => ({ ...request, isGenuine: false, signedBy }))

/** With lone surrogates and NUL. */
const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.nat(0xffff).map((unit) => String.fromCharCode(unit)) }),
  fc.constantFrom('', '\0', '\ud800', '%', '%00', '%ed%a0%80', '+', "'; drop table sms_usage_logs; --", '$1'),
  fc.nat(20_000).map((length) => 'x'.repeat(length)),
)

const anyName = fc.oneof(
  fc.constantFrom(
    ...[
      '__proto__',
      'constructor',
      'prototype',
      'toString',
      'hasOwnProperty',
      'valueOf',
      '',
      'a[b]',
      'a[]',
      '\0',
    ],
    ...[
      'MessageSid',
      'MessageStatus',
      'AccountSid',
      'ErrorCode',
      'MessageSid[]',
      'messagesid',
      'SmsSid',
      'ErrorMessage',
    ],
  ),
  anyText,
)

const anyPair: fc.Arbitrary<Pair> = fc.record({ name: anyName, value: anyText })

/** A good form with something wrong in it. */
const changedPairs: fc.Arbitrary<readonly Pair[]> = fc
  .record({
    status: fc.oneof(
      fc.constantFrom(...STATUSES),
      fc.constantFrom('received', 'teleported', 'DELIVERED'),
      anyText,
    ),
    code: fc.oneof(fc.constantFrom(...CODES), fc.constantFrom('-1', '1e9', '3'.repeat(400)), anyText),
    text: anyText,
    without: fc.option(fc.nat(9)),
    more: fc.oneof(
      { weight: 9, arbitrary: fc.array(anyPair, { maxLength: 5 }) },
      { weight: 1, arbitrary: fc.array(anyPair, { maxLength: 150 }) },
    ),
    at: fc.nat(10),
  })
  .map(({ status, code, text, without, more, at }) => {
    const pairs = callbackPairs(status, code, text).filter((_, i) => i !== without)
    return [...pairs.slice(0, at), ...more, ...pairs.slice(at)]
  })

const anyHeader = fc.oneof(
  fc.constantFrom<readonly [string, string]>(
    ['Content-Type', 'application/json'],
    ['Content-Type', 'application/x-www-form-urlencoded; charset=utf-16'],
    ['Content-Type', 'multipart/form-data; boundary='],
    ['Content-Type', ';;;=,"'],
    ['Content-Encoding', 'gzip'],
    ['Content-Encoding', 'deflate, br'],
    ['Content-Encoding', 'rot13'],
    ['Content-Length', '0'],
    ['Content-Length', '-1'],
    ['Content-Length', '99999999999999999999'],
    ['Transfer-Encoding', 'chunked'],
    ['Transfer-Encoding', 'identity'],
    ['Expect', '100-continue'],
    ['Expect', 'the unexpected'],
    ['Connection', 'upgrade'],
    ['Upgrade', 'h2c'],
    ['Host', 'evil.example'],
    ['X-Forwarded-Host', 'evil.example'],
    ['X-Forwarded-Proto', 'gopher'],
    ['X-Twilio-Signature', 'L/OH5YylLD5NRKLltdqwSvS0BnU='],
    ['Authorization', 'Basic ====='],
    ['Cookie', 'sms_retry_browser=__proto__.x'],
    ['Range', 'bytes=0-'],
  ),
  fc.tuple(
    fc.constant('X-Long'),
    fc.nat(20_000).map((length) => 'x'.repeat(length)),
  ),
  fc.tuple(
    fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 10 }),
    fc.string({ unit: 'binary-ascii' }),
  ),
)

const headers = fc.oneof(
  { weight: 3, arbitrary: fc.constant([]) },
  { weight: 1, arbitrary: fc.array(anyHeader, { maxLength: 4 }) },
  {
    weight: 1,
    arbitrary: fc.nat(300).map((count) => Array.from({ length: count }, (_, i) => [`X-${i}`, '1'] as const)),
  },
)

const method = fc.oneof(
  { weight: 8, arbitrary: fc.constant('POST') },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'GET',
      'HEAD',
      'PUT',
      'DELETE',
      'OPTIONS',
      'PATCH',
      'TRACE',
      'CONNECT',
      'PRI',
      'post',
      '',
    ),
  },
)

const path = fc.oneof(
  { weight: 8, arbitrary: fc.constant('/twilio/status') },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      ...[
        '/twilio/status/',
        '/TWILIO/status',
        '//twilio/status',
        '/twilio/../twilio/status',
        '/twilio%2fstatus',
        '/%',
      ],
      ...[
        'http://evil.example/twilio/status',
        'twilio/status',
        '*',
        '/',
        '/messages',
        '/messages/1/cancel',
        '/__proto__',
      ],
      ...['/assets/..%2f..%2fpackage.json', `/${'x'.repeat(17_000)}`],
    ),
  },
)

const query = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom<(string | null)[]>(null, '') },
  {
    weight: 1,
    arbitrary: fc.oneof(
      fc.constantFrom(
        '?',
        '?message=1',
        '?message=1&message=2&attempt=0',
        '?message=0&attempt=0',
        '?message=1e3&attempt=0',
      ),
      fc.constantFrom(
        "?who=O'Hara",
        '?%',
        '?%00',
        '?__proto__=1',
        `?message=${'9'.repeat(400)}&attempt=0`,
        '?a=b?c',
      ),
      fc.webQueryParameters().map((text) => `?${text}`),
    ),
  },
)

const odd: fc.Arbitrary<ArbitraryRequest> = fc.record({
  isGenuine: fc.constant(false),
  method,
  path,
  query,
  row,
  pairs: changedPairs,
  body: fc.option(fc.uint8Array({ maxLength: 300 }), { freq: 4 }),
  signedBy: fc.constantFrom('twilio', 'twilio', 'another token', 'nobody'),
  headers,
  framing: fc.oneof(
    { weight: 6, arbitrary: fc.constant<'length'>('length') },
    { weight: 1, arbitrary: fc.constantFrom('chunks', 'too short', 'too long', 'none') },
  ),
})

/** Not even HTTP. */
export type Noise = Uint8Array
const noise: fc.Arbitrary<Noise> = fc.oneof(
  fc.uint8Array({ maxLength: 500 }),
  fc.tuple(fc.uint8Array({ maxLength: 50 }), fc.nat(60)).map(([bytes, at]) => {
    const line = Buffer.from('POST /twilio/status?message=1&attempt=0 HTTP/1.1\r\nHost: a\r\n\r\n')
    return Buffer.concat([line.subarray(0, at), bytes, line.subarray(at)])
  }),
)

export const arbitraryRequest: fc.Arbitrary<ArbitraryRequest | Noise> = fc.oneof(
  { weight: 3, arbitrary: genuine },
  { weight: 2, arbitrary: forged },
  { weight: 6, arbitrary: odd },
  { weight: 1, arbitrary: noise },
)
