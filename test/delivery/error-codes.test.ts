// Tests the table of error codes: the documented default rules, and the reasons. error-code-catalogue.test.ts compares it
// with Twilio's catalogue.
import { describe, expect, test } from '@jest/globals'
import { ERROR_CODES, reasonOf, UNKNOWN_CODE } from '../../src/delivery/error-codes.ts'
import { createRetryPolicy, maxRetriesOf, ruleFor } from '../../src/delivery/retry-policy.ts'
import type { Rule } from '../../src/delivery/retry-rule.ts'

const policy = createRetryPolicy()

function inWords(rule: Rule): string {
  if (rule.action !== 'retry') return rule.action
  if ('after' in rule) return `${rule.retries} retries, after ${rule.after} ${rule.timeZone}`
  if ('when' in rule) return `${rule.retries} retries, ${rule.when}`
  if ('periodSeconds' in rule) return `${rule.retries} retries, after ${rule.periodSeconds} s each`
  return `${rule.retries} retries, base ${rule.baseDelaySeconds} s`
}

describe('the default rule', () => {
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
    [30023, '2 retries, after 00:00 America/Los_Angeles'],
    [30027, '2 retries, after 00:00 America/Los_Angeles'],
    [63038, '3 retries, after 86400 s each'],
    [30630, 'stop'],
    [21660, 'stop'],
    [21910, 'stop'],
    [21601, 'stop'],
    [30042, 'stop'],
    [99999, '2 retries, base 120 s'],
    [null, '2 retries, base 120 s'],
  ])('of %s is %s', (code, expected) => {
    expect(inWords(ruleFor(policy, code))).toBe(expected)
  })

  test('with the most retries sets max_retries of new rows', () => {
    expect(maxRetriesOf(policy)).toBe(3)
  })
})

describe('the reason of an error code', () => {
  test('has at least three words, begins with a capital and ends without a full stop', () => {
    const unclear = Object.entries(ERROR_CODES).filter(
      ([, { reason }]) => reason.split(' ').length < 3 || !/^[A-Z].*[^.\s]$/.test(reason),
    )
    expect(unclear).toEqual([])
  })

  test('does not call a code unknown that Twilio documents for something else', () => {
    expect(reasonOf(30100)).toMatch(/something other than sending/)
    expect(ruleFor(policy, 30100)).toEqual(UNKNOWN_CODE.rule)
  })

  test.each([
    [21652, /subject/],
    [21653, /recipients/],
    [30014, /attributes/],
    [30015, /channel/],
    [30016, /channels/],
    [30020, /scheduled/],
    [30021, /Messaging Service/],
    [30018, /registered/],
    [30024, /numeric sender ID/],
  ])('%i says what Twilio documents: %s', (code, expected) => {
    expect(reasonOf(code)).toMatch(expected)
  })

  test('comes from the table, or says that the code is unknown or missing', () => {
    expect(reasonOf(30003)).toMatch(/handset was unreachable/)
    expect(reasonOf(99999)).toBe(UNKNOWN_CODE.reason)
    expect(reasonOf(null)).toBe('Twilio gave no error code')
  })
})
