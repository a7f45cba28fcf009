// Owns the tests of the table of error codes: the defaults that the design fixes, and that every code which
// Twilio is known to report is named with a reason, and is not retried where it is permanent.
import { describe, expect, test } from '@jest/globals'
import { ERROR_CODES, reasonOf, type Rule, UNKNOWN_CODE } from '../../src/delivery/error-codes.ts'
import { createRetryPolicy, mostRetries, ruleFor } from '../../src/delivery/retry-policy.ts'

const policy = createRetryPolicy()
const inWords = (rule: Rule): string =>
  rule.action === 'stop' ? 'stop' : `${rule.retries} retries, base ${rule.baseDelaySeconds} s`

describe('the defaults of the design', () => {
  test.each([
    [30001, '3 retries, base 60 s'],
    [30002, '3 retries, base 120 s'],
    [30003, '2 retries, base 300 s'],
    [30004, '2 retries, base 180 s'],
    [21211, 'stop'],
    [21214, 'stop'],
    [21610, 'stop'],
    [30006, 'stop'],
    [30007, 'stop'],
    [30008, 'stop'],
    [99999, '2 retries, base 120 s'],
    [null, '2 retries, base 120 s'],
  ])('%s: %s', (code, expected) => {
    expect(inWords(ruleFor(policy, code))).toBe(expected)
  })

  test('a new row allows the three retries of the most generous rule', () => {
    expect(mostRetries(policy)).toBe(3)
  })
})

/** Permanent by nature: the same request to the same recipient would fail in the same way. */
const PERMANENT = {
  'the recipient': [21211, 21214, 21266, 21268, 21604, 21610, 21612, 21614, 21635, 30005, 30006],
  'the sender': [21212, 21603, 21606, 21607, 21616, 21657, 21659, 21701, 21702, 21703, 21704, 21705],
  'geo permission': [21408],
  registration: [30024, 30032, 30033, 30034, 30035],
  'content or media': [
    21602, 21605, 21617, 21618, 21619, 21620, 21621, 21622, 21623, 21652, 21653, 21654, 21655, 21656, 21658,
    30007, 30010, 30011, 30014, 30015, 30016, 30019, 30110,
  ],
  'a parameter': [20404, 21609, 21624, 21626, 21627, 30012, 30013, 30028, 30029, 30030, 30031],
  'another channel': [63001, 63002, 63003, 63005, 63007, 63013, 63016, 63024, 63036],
  'an outcome that is not known': [30008, 30410],
}

/** Trying again later can help. */
const TRANSIENT = [
  14107, 20429, 20503, 21611, 30001, 30003, 30017, 30020, 30021, 30022, 30023, 30027, 30036, 30450, 30453,
  63010, 63012, 63017, 63018,
]

/** The account or a warning, and what the design decides against the first impression (30004). */
const OTHERS = [10001, 20003, 20005, 20403, 20500, 21608, 30002, 30004, 30018, 30025, 30026, 63038]

const KNOWN = [...Object.values(PERMANENT).flat(), ...TRANSIENT, ...OTHERS]

describe('every code that Twilio is known to report', () => {
  test('is named by the table', () => {
    expect(KNOWN.filter((code) => !Object.hasOwn(ERROR_CODES, code))).toEqual([])
  })

  test.each(Object.entries(PERMANENT))('is never retried where it is permanent: %s', (_, codes) => {
    expect(codes.filter((code) => inWords(ruleFor(policy, code)) !== 'stop')).toEqual([])
  })

  test('is retried where it is transient', () => {
    expect(TRANSIENT.filter((code) => inWords(ruleFor(policy, code)) === 'stop')).toEqual([])
  })

  test.each([
    [30022, 'the rate limit of the sender', 180],
    [30023, 'a daily limit, until midnight', 3600],
    [30027, 'a daily limit, until midnight', 3600],
    [30450, 'blocked for 15 to 30 minutes', 1800],
    [30453, 'blocked for hours', 3600],
  ])('%i waits for as long as it asks for: %s', (code, _, atLeastSeconds) => {
    const rule = ruleFor(policy, code)
    expect(rule.action === 'retry' && rule.baseDelaySeconds).toBeGreaterThanOrEqual(atLeastSeconds)
  })
})

describe('reasons', () => {
  test('every code of the table has one of at least three words, a capital first and no full stop', () => {
    const unclear = Object.entries(ERROR_CODES).filter(
      ([, { reason }]) => reason.split(' ').length < 3 || !/^[A-Z].*[^.\s]$/.test(reason),
    )
    expect(unclear).toEqual([])
  })

  test('are the table’s, or say that the code is not known, or that there is none', () => {
    expect(reasonOf(30003)).toMatch(/handset was unreachable/)
    expect(reasonOf(99999)).toBe(UNKNOWN_CODE.reason)
    expect(reasonOf(null)).toBe('Twilio gave no error code')
  })
})
