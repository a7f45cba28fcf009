// Who may report: the signature as Twilio documents it, and every near miss.
import { describe, expect, test } from '@jest/globals'
import webhooks from 'twilio/lib/webhooks/webhooks.js'
import { isSignedByTwilio, isSignedInAnySpelling } from '../../src/twilio/signature.ts'

/** Twilio's published example. Source: https://www.twilio.com/docs/usage/security */
const TOKEN = '12345'
const URL = 'https://example.com/myapp.php?foo=1&bar=2'
const FIELDS = {
  CallSid: 'CA1234567890ABCDE',
  Caller: '+14158675310',
  Digits: '1234',
  From: '+14158675310',
  To: '+18005551212',
}
const SIGNATURE = 'L/OH5YylLD5NRKLltdqwSvS0BnU='

test("Twilio's published example is accepted", () => {
  expect(isSignedByTwilio([TOKEN], SIGNATURE, URL, FIELDS)).toBe(true)
})

test('the order of the fields does not matter', () => {
  const reversed = Object.fromEntries(Object.entries(FIELDS).reverse())
  expect(isSignedByTwilio([TOKEN], SIGNATURE, URL, reversed)).toBe(true)
})

// The URL's port comes from PUBLIC_BASE_URL and not from the request, so that this opens nothing.
test.each([
  ':443',
  ':8443',
])('the port %s of our URL may be missing in what was signed, as Twilio does both', (port) => {
  expect(isSignedByTwilio([TOKEN], SIGNATURE, URL.replace('.com/', `.com${port}/`), FIELDS)).toBe(true)
})

describe.each([isSignedByTwilio, isSignedInAnySpelling])('a signature is refused by %p', (isSigned) => {
  test.each([
    ['when it is missing', undefined],
    ['when it is empty', ''],
    ['when one character differs', `M${SIGNATURE.slice(1)}`],
    ['when it is cut short', SIGNATURE.slice(0, -1)],
    ['when something follows it', `${SIGNATURE}A`],
    ['when it comes twice, as two headers are joined', `${SIGNATURE}, ${SIGNATURE}`],
    ['when it has characters of more than one byte', '\u{1f600}'.repeat(14)],
  ])('%s', (_when, signature) => {
    expect(isSigned([TOKEN], signature, URL, FIELDS)).toBe(false)
  })

  test.each([
    ['another host', URL.replace('example.com', 'example.org')],
    ['another scheme', URL.replace('https', 'http')],
    ['another path', URL.replace('myapp', 'otherapp')],
    ['another query', URL.replace('foo=1', 'foo=2')],
    ['no query', 'https://example.com/myapp.php'],
    ['the parameters of the query in another order', 'https://example.com/myapp.php?bar=2&foo=1'],
    ['something that is no URL', 'not a URL'],
    ['nothing', ''],
  ])('when it was made for the example, and the URL is %s', (_what, url) => {
    expect(isSigned([TOKEN], SIGNATURE, url, FIELDS)).toBe(false)
  })

  test.each([
    ['a field has another value', { ...FIELDS, Digits: '1235' }],
    ['a field has a space at its end', { ...FIELDS, Digits: '1234 ' }],
    ['a field is missing', { ...FIELDS, Digits: undefined }],
    ['a field was added', { ...FIELDS, Status: 'delivered' }],
    ['a field came twice with different values', { ...FIELDS, Digits: ['1234', '1235'] }],
    ["a field's name has another case", { ...FIELDS, Digits: undefined, digits: '1234' }],
    ['there are no fields', {}],
  ])('when %s', (_what, fields) => {
    const sent = Object.fromEntries(
      Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
    )
    expect(isSigned([TOKEN], SIGNATURE, URL, sent)).toBe(false)
  })

  test('when no auth token is known', () => {
    expect(isSigned([], SIGNATURE, URL, FIELDS)).toBe(false)
  })
})

test.each([
  ['the only one', [TOKEN], true],
  ['the first of two', [TOKEN, '54321'], true],
  ['the second of two', ['54321', TOKEN], true],
  ['none of two', ['54321', '123456'], false],
])('while a token is rotated: signed with %s', (_which, tokens, accepted) => {
  expect(isSignedByTwilio(tokens, SIGNATURE, URL, FIELDS)).toBe(accepted)
})

/** Escapes that `new URL()` writes otherwise: what Twilio is known to sign is either. */
test("a URL whose escapes were signed as a browser would write them is found among the package's spellings", () => {
  const url = "https://example.com/a?who=O'Hara"
  const signature = webhooks.getExpectedTwilioSignature(TOKEN, 'https://example.com/a?who=O%27Hara', FIELDS)
  expect(isSignedByTwilio([TOKEN], signature, url, FIELDS)).toBe(false)
  expect(isSignedInAnySpelling([TOKEN], signature, url, FIELDS)).toBe(true)
})

// What is decided without the package's own check must never be stricter, where a URL of ours is concerned.
test.each([
  'https://sms.example.com',
  'https://sms.example.com:8443',
  'https://sms.example.com:443/prefix',
  'http://sms.example.com',
  'http://127.0.0.1:3000',
  'http://[::1]:3000',
  'https://user:pass@sms.example.com:8443',
])('for URLs below %s it says what the package says', (base) => {
  const url = `${base}/twilio/status?message=42&attempt=1`
  const spellings = [
    url,
    url.replace(/:\d+(?=\/)/, ''),
    url.replace(/(?<!:\d+)(?=\/twilio|\/prefix)/, ':443'),
    url.replace(/(?<!:\d+)(?=\/twilio)/, ':80'),
  ]
  for (const spelling of spellings) {
    const signature = webhooks.getExpectedTwilioSignature(TOKEN, spelling, FIELDS)
    expect([spelling, isSignedByTwilio([TOKEN], signature, url, FIELDS)]).toEqual([
      spelling,
      webhooks.validateRequest(TOKEN, signature, url, FIELDS),
    ])
  }
})
