// Owns the tests of how a rule's schedule is written for people; pages, terminal and documents use the same words.
import { expect, test } from '@jest/globals'
import { createRetryPolicy, ruleFor } from '../src/delivery/retry-policy.ts'
import { scheduleInWords } from '../src/plain-words.ts'

test.each([
  [30003, 1, '5 min, 10 min'],
  [30023, 1, '00:00 America/Los_Angeles'],
  [63038, 1, '1 d, 1 d, 1 d'],
  [63038, 0.5, '12 h, 12 h, 12 h'],
  [21610, 1, ''],
])('the schedule of %i, with delays times %d, is %j', (code, delayScale, expected) => {
  const policy = createRetryPolicy({}, delayScale)
  expect(scheduleInWords(policy, ruleFor(policy, code))).toBe(expected)
})
