// Tests the signature of status callbacks as Twilio documents it, and invalid ones.
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

test('the order of the fields does not affect the signature', () => {
  const reversed = Object.fromEntries(Object.entries(FIELDS).reverse())
  expect(isSignedByTwilio([TOKEN], SIGNATURE, URL, reversed)).toBe(true)
})

// This is safe, because the port comes from PUBLIC_BASE_URL and not from the request.
test.each([':443', ':8443'])('the port %s of our URL may be missing in the signed URL', (port) => {
  expect(isSignedByTwilio([TOKEN], SIGNATURE, URL.replace('.com/', `.com${port}/`), FIELDS)).toBe(true)
})

describe.each([isSignedByTwilio, isSignedInAnySpelling])('%p rejects a signature', (isSigned) => {
  test.each([
    ['when it is missing', undefined],
    ['when it is empty', ''],
    ['when one character differs', `M${SIGNATURE.slice(1)}`],
    ['when it is truncated', SIGNATURE.slice(0, -1)],
    ['when text follows it', `${SIGNATURE}A`],
    ['when it is repeated, as in two joined headers', `${SIGNATURE}, ${SIGNATURE}`],
    ['when it has multi-byte characters', '\u{1f600}'.repeat(14)],
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
    ['a text that is no URL', 'not a URL'],
    ['an empty URL', ''],
  ])('of the example for %s', (_what, url) => {
    expect(isSigned([TOKEN], SIGNATURE, url, FIELDS)).toBe(false)
  })

  test.each([
    ['a field has another value', { ...FIELDS, Digits: '1235' }],
    ['a field has a space at its end', { ...FIELDS, Digits: '1234 ' }],
    ['a field is missing', { ...FIELDS, Digits: undefined }],
    ['a field was added', { ...FIELDS, Status: 'delivered' }],
    ['a field is repeated with another value', { ...FIELDS, Digits: ['1234', '1235'] }],
    ["a field's name has another case", { ...FIELDS, Digits: undefined, digits: '1234' }],
    ['there are no fields', {}],
  ])('when %s', (_what, fields) => {
    const sent = Object.fromEntries(
      Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
    )
    expect(isSigned([TOKEN], SIGNATURE, URL, sent)).toBe(false)
  })

  test('without an auth token', () => {
    expect(isSigned([], SIGNATURE, URL, FIELDS)).toBe(false)
  })
})

test.each([
  ['the only one', [TOKEN], true],
  ['the first of two', [TOKEN, '54321'], true],
  ['the second of two', ['54321', TOKEN], true],
  ['none of two', ['54321', '123456'], false],
])('during the rotation of a token, a signature with %s', (_which, tokens, accepted) => {
  expect(isSignedByTwilio(tokens, SIGNATURE, URL, FIELDS)).toBe(accepted)
})

/** Escapes that `new URL()` writes in another form. Twilio signs either form. */
test('isSignedInAnySpelling accepts escapes as a browser writes them', () => {
  const url = "https://example.com/a?who=O'Hara"
  const signature = webhooks.getExpectedTwilioSignature(TOKEN, 'https://example.com/a?who=O%27Hara', FIELDS)
  expect(isSignedByTwilio([TOKEN], signature, url, FIELDS)).toBe(false)
  expect(isSignedInAnySpelling([TOKEN], signature, url, FIELDS)).toBe(true)
})

// For our URLs, isSignedByTwilio must never be stricter than the package.
test.each([
  'https://sms.example.com',
  'https://sms.example.com:8443',
  'https://sms.example.com:443/prefix',
  'http://sms.example.com',
  'http://127.0.0.1:3000',
  'http://[::1]:3000',
  'https://user:pass@sms.example.com:8443',
])('isSignedByTwilio agrees with the package for URLs below %s', (base) => {
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
