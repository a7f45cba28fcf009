// Tests how the schedule of a rule is formatted for people.
import { expect, test } from '@jest/globals'
import { createRetryPolicy, formatSchedule, ruleFor } from '../../src/delivery/retry-policy.ts'
import { duration } from '../../src/shared/figures.ts'

test.each([
  [30003, 1, '5 min, 10 min'],
  [30023, 1, '00:00 America/Los_Angeles'],
  [63038, 1, '1 d, 1 d, 1 d'],
  [63038, 0.5, '12 h, 12 h, 12 h'],
  [21610, 1, ''],
])('the schedule of %i with a delay scale of %d is %j', (code, delayScale, expected) => {
  const policy = createRetryPolicy({}, delayScale)
  expect(formatSchedule(policy, ruleFor(policy, code), duration)).toBe(expected)
})
