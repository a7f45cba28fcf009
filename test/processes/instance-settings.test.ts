// The settings that processes compare: equal for equal configurations, different otherwise, and without a secret.
import { describe, expect, test } from '@jest/globals'
import { parseConfig } from '../../src/config/config.ts'
import { createRetryPolicy } from '../../src/delivery/retry-policy.ts'
import { instanceSettings } from '../../src/processes/instance-settings.ts'

const policyOf = (overrides: unknown, delayScale = 1): string | undefined =>
  instanceSettings(parseConfig({}, []), createRetryPolicy(overrides, delayScale), false).policy

describe('the fingerprint of the retry policy', () => {
  test('is the same for the same effect, in another order or by a rule that repeats the default', () => {
    const usual = policyOf({})
    expect(usual).toMatch(/^[0-9a-f]{12}$/)
    const one = { codes: { 39998: { retries: 2, baseDelaySeconds: 60 }, 39999: 'stop' } }
    const other = { codes: { 39999: 'stop', 39998: { baseDelaySeconds: 60, retries: 2 } } }
    expect(policyOf(one)).toBe(policyOf(other))
    expect(policyOf({ jitter: 0.1, codes: { 30007: 'stop' } })).toBe(usual)
  })

  test.each<[what: string, overrides: unknown, delayScale?: number]>([
    ['a rule', { codes: { 30003: { retries: 2, baseDelaySeconds: 301 } } }],
    ['a code that is stopped', { codes: { 30003: 'stop' } }],
    ['a further code', { codes: { 39999: 'stop' } }],
    ['the default', { default: 'stop' }],
    ['the jitter', { jitter: 0.2 }],
    ['the maximum delay', { maxDelaySeconds: 60 }],
    ['the scale of the delays', {}, 2],
  ])('changes with %s', (_what, overrides, delayScale = 1) => {
    expect(policyOf(overrides, delayScale)).not.toBe(policyOf({}))
  })
})

test('the account is masked, and no secret, number or token is reported', () => {
  const env = {
    TWILIO_ACCOUNT_SID: 'AC0123456789abcdef0123456789abcdef',
    TWILIO_AUTH_TOKEN: 'fedcba9876543210fedcba9876543210',
    TWILIO_FROM_NUMBER: '+12065550100',
    RECIPIENT_ALLOWLIST: '+12065550199',
    SEND_WINDOW: '08:00-21:00',
    SEND_WINDOW_FALLBACK_TIME_ZONE: 'America/New_York',
    OUTCOME_EVENTS: 'true',
  }
  expect(instanceSettings(parseConfig(env, []), createRetryPolicy(), true)).toEqual({
    outcomeEvents: true,
    deliversOutcomes: true,
    policy: expect.stringMatching(/^[0-9a-f]{12}$/),
    account: 'AC…abcdef',
    sendWindow: '08:00-21:00 (fallback America/New_York)',
  })
})

test('a command without an account reports none', () => {
  expect(instanceSettings(parseConfig({}, []), createRetryPolicy(), false)).not.toHaveProperty('account')
})
