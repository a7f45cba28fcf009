// Tests the delays and the user's overrides. See error-codes.test.ts for the rule of each code, and time-on-clock.test.ts for
// times of day.
import { describe, expect, test } from '@jest/globals'
import type { RetryPolicyOverrides } from '../../src/delivery/policy-overrides.ts'
import {
  createRetryPolicy,
  maxRetriesOf,
  postponedDelaySeconds,
  retryDelaySeconds,
  ruleFor,
  scheduleOf,
} from '../../src/delivery/retry-policy.ts'
import type { TimedRule } from '../../src/delivery/retry-rule.ts'
import { ConfigError } from '../../src/shared/errors.ts'

const BASE_60: TimedRule = { action: 'retry', retries: 10, baseDelaySeconds: 60 }
/** The largest random number. */
const ALMOST_ONE = 1 - Number.EPSILON
const NO_JITTER: RetryPolicyOverrides = { jitter: 0 }
/** Noon in Los Angeles, twelve hours before midnight. */
const NOON = new Date('2026-07-01T19:00:00Z')

const delays = (overrides: RetryPolicyOverrides, random: number, delayScale = 1): number[] => {
  const policy = createRetryPolicy(overrides, delayScale)
  return Array.from({ length: 10 }, (_, i) => retryDelaySeconds(policy, BASE_60, i + 1, NOON, random))
}

const DOUBLING = [60, 120, 240, 480, 960, 1920, 3840, 7680, 15360]

describe('the delay before retry n', () => {
  test('is the base delay, doubled for each further retry, and at most six hours', () => {
    expect(delays(NO_JITTER, ALMOST_ONE)).toEqual([...DOUBLING, 21600])
  })

  test('is never shortened by jitter', () => {
    expect(delays({}, 0)).toEqual([...DOUBLING, 21600])
  })

  test('gets up to 10% more by jitter', () => {
    const half = delays({}, 0.5).slice(0, 9)
    const most = delays({}, ALMOST_ONE).slice(0, 9)
    for (const [i, delay] of DOUBLING.entries()) {
      expect(half[i]).toBeCloseTo(delay * 1.05, 6)
      expect(most[i]).toBeCloseTo(delay * 1.1, 6)
      expect(most[i]).toBeLessThanOrEqual(delay * 1.1)
    }
  })

  test('gets the jitter of the policy', () => {
    expect(delays({ jitter: 1 }, 0.5)[0]).toBe(90)
    expect(delays({ jitter: 0 }, 0.5)[0]).toBe(60)
  })

  test('is never more than maxDelaySeconds, jitter included', () => {
    const capped = delays({ maxDelaySeconds: 250 }, ALMOST_ONE)
    expect(capped.slice(2)).toEqual(Array(8).fill(250))
    expect(Math.max(...delays({ jitter: 1 }, ALMOST_ONE))).toBe(21600)
  })

  test('is multiplied by delayScale after the maximum is applied', () => {
    expect(delays(NO_JITTER, 0, 0.01)).toEqual([...DOUBLING, 21600].map((delay) => delay * 0.01))
  })
})

describe('the delay of a rule with a time of day or a period', () => {
  const midnight: TimedRule = {
    action: 'retry',
    retries: 3,
    after: '00:00',
    timeZone: 'America/Los_Angeles',
  }
  const day: TimedRule = { action: 'retry', retries: 3, periodSeconds: 86_400 }
  const hours = 3600

  test.each<[what: string, TimedRule, RetryPolicyOverrides, random: number, scale: number, seconds: number]>([
    ['is the time until the time of day', midnight, NO_JITTER, ALMOST_ONE, 1, 12 * hours],
    ['with jitter is up to six minutes longer for a time of day', midnight, {}, 0.5, 1, 12 * hours + 180],
    [
      'with full jitter is up to an hour longer for a time of day',
      midnight,
      { jitter: 1 },
      0.5,
      1,
      12.5 * hours,
    ],
    ['is scaled as a whole for a time of day', midnight, {}, 0.5, 0.01, 432 + 1.8],
    ['is the whole period', day, NO_JITTER, ALMOST_ONE, 1, 24 * hours],
    ['with jitter is up to a tenth longer for a period', day, {}, 0.5, 1, 24 * hours * 1.05],
    ['is scaled as a whole for a period', day, {}, 0.5, 0.01, 864 * 1.05],
  ])('%s', (_, rule, overrides, random, scale, seconds) => {
    const policy = createRetryPolicy(overrides, scale)
    for (const retry of [1, 2, 3]) {
      expect(retryDelaySeconds(policy, rule, retry, NOON, random)).toBeCloseTo(seconds, 6)
    }
  })

  test('is not limited by maxDelaySeconds, because an earlier retry is known to fail', () => {
    const policy = createRetryPolicy({ jitter: 0, maxDelaySeconds: 60 })
    expect(retryDelaySeconds(policy, midnight, 1, NOON, 0)).toBe(12 * hours)
    expect(retryDelaySeconds(policy, day, 1, NOON, 0)).toBe(24 * hours)
    expect(scheduleOf(policy, day)).toEqual([24 * hours, 24 * hours, 24 * hours])
    expect(scheduleOf(policy, midnight)).toBeNull()
  })
})

describe('the delay of an attempt that Twilio did not process', () => {
  const postponed = (n: number, retryAfter: number | null, overrides = NO_JITTER, delayScale = 1): number =>
    postponedDelaySeconds(createRetryPolicy(overrides, delayScale), n, retryAfter, ALMOST_ONE)

  test('doubles from 5 seconds to 5 minutes, without a limit on the number', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 8, 5000].map((n) => postponed(n, null))).toEqual([
      5, 10, 20, 40, 80, 160, 300, 300, 300,
    ])
  })

  test.each([
    ['longer is Twilio’s', 1, 40, 40],
    ['shorter is ours', 4, 3, 40],
    ['zero is ours', 1, 0, 5],
    ['longer than maxDelaySeconds is maxDelaySeconds', 1, 90_000, 21_600],
    ['longer than five minutes is Twilio’s', 1, 900, 900],
  ])('with a Retry-After that is %s', (_, n, retryAfter, expected) => {
    expect(postponed(n, retryAfter)).toBe(expected)
  })

  test('has jitter and is scaled, but a Retry-After is not', () => {
    expect(postponed(1, null, { jitter: 0.1 })).toBeCloseTo(5.5, 6)
    expect(postponed(1, null, NO_JITTER, 0.01)).toBeCloseTo(0.05, 6)
    expect(postponed(9, null, NO_JITTER, 0.01)).toBeCloseTo(3, 6)
    expect(postponed(1, 40, NO_JITTER, 0.01)).toBe(40)
  })
})

describe('overrides', () => {
  const policy = createRetryPolicy({
    default: 'stop',
    codes: {
      '30003': { retries: 5, baseDelaySeconds: 600 },
      '30001': 'stop',
      '21610': 'stop',
      '77777': 'stop',
      '30022': { retries: 2, after: '06:30', timeZone: 'Europe/Berlin' },
      '30450': { retries: 1, periodSeconds: 3600 },
      '30027': { retries: 1, baseDelaySeconds: 60 },
    },
  })

  test.each([
    ['a single code', 30003, { action: 'retry', retries: 5, baseDelaySeconds: 600 }],
    ['a code to one that is never retried', 30001, { action: 'stop' }],
    ['a code that the table does not have', 77777, { action: 'stop' }],
    [
      'a back-off into a time on the clock',
      30022,
      { action: 'retry', retries: 2, after: '06:30', timeZone: 'Europe/Berlin' },
    ],
    ['a back-off into a rolling period', 30450, { action: 'retry', retries: 1, periodSeconds: 3600 }],
    ['a time of day into a back-off', 30027, { action: 'retry', retries: 1, baseDelaySeconds: 60 }],
    ['the default, for unknown codes', 99999, { action: 'stop' }],
    ['the default, for failures without a code', null, { action: 'stop' }],
    [
      'a code that they do not name keeps its rule',
      30004,
      { action: 'retry', retries: 2, baseDelaySeconds: 180 },
    ],
  ])('change %s', (_, code, rule) => {
    expect(ruleFor(policy, code)).toEqual(rule)
  })

  test('can allow retries that the table forbids', () => {
    const generous = createRetryPolicy({ codes: { '30008': { retries: 1, baseDelaySeconds: 3600 } } })
    expect(ruleFor(generous, 30008)).toEqual({ action: 'retry', retries: 1, baseDelaySeconds: 3600 })
  })

  test('with more retries raise the max_retries of new rows', () => {
    expect(maxRetriesOf(policy)).toBe(5)
    expect(maxRetriesOf(createRetryPolicy({ default: { retries: 7, baseDelaySeconds: 60 } }))).toBe(7)
  })

  test('that are left out mean the defaults: 10% jitter, six hours, no scale', () => {
    expect(createRetryPolicy()).toMatchObject({ jitter: 0.1, maxDelaySeconds: 21600, delayScale: 1 })
    expect(createRetryPolicy({})).toEqual(createRetryPolicy())
  })

  test('do not leak into the next policy', () => {
    createRetryPolicy({ codes: { '30003': 'stop' } })
    expect(ruleFor(createRetryPolicy(), 30003).action).toBe('retry')
  })
})

function faultOf(overrides: unknown): string {
  try {
    createRetryPolicy(overrides)
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
  throw new Error(`No fault was found in ${JSON.stringify(overrides)}`)
}

/** A rule with a time of day for 30003, with some fields changed. */
const clockRule = (fields: object): object => ({
  codes: { '30003': { retries: 2, after: '00:00', timeZone: 'America/Los_Angeles', ...fields } },
})

/** A complete rule for 30003, with some fields changed. */
const rule = (fields: object): object => ({
  codes: { '30003': { retries: 2, baseDelaySeconds: 60, ...fields } },
})

describe('invalid overrides throw a ConfigError with the path and the valid values:', () => {
  test.each<[overrides: unknown, line: RegExp]>([
    [rule({ retries: 0 }), /codes\.30003\.retries: .*1/],
    [rule({ retries: 11 }), /codes\.30003\.retries: .*10/],
    [rule({ retries: 1.5 }), /codes\.30003\b.*\bretries\b/],
    [rule({ retries: '3' }), /codes\.30003\b.*\bretries\b/],
    [rule({ baseDelaySeconds: 0 }), /codes\.30003\.baseDelaySeconds: .*0/],
    [rule({ baseDelaySeconds: 604_801 }), /codes\.30003\.baseDelaySeconds: .*604800/],
    [rule({ baseDelaySeconds: undefined }), /codes\.30003\b.*\bbaseDelaySeconds\b/],
    [rule({ baseDelay: 60 }), /codes\.30003\b.*\bbaseDelay(Seconds)?\b/],
    [clockRule({ retries: 0 }), /codes\.30003\.retries: .*1/],
    [clockRule({ after: '24:00' }), /codes\.30003\.after: .*"23:59"/],
    [clockRule({ after: '7:00' }), /codes\.30003\.after: .*time of day/],
    [clockRule({ after: 0 }), /codes\.30003\.after: .*string/],
    [clockRule({ after: undefined }), /codes\.30003\.after: .*string/],
    [clockRule({ timeZone: undefined }), /codes\.30003\.timeZone: .*string/],
    [clockRule({ timeZone: 'US Pacific' }), /codes\.30003\.timeZone: .*"America\/Los_Angeles"/],
    [clockRule({ baseDelaySeconds: 60 }), /codes\.30003: .*"baseDelaySeconds".* a rule is "stop"/],
    [clockRule({ periodSeconds: 60 }), /codes\.30003: .*"periodSeconds".* a rule is "stop"/],
    [rule({ periodSeconds: 60 }), /codes\.30003: .*"baseDelaySeconds".* a rule is "stop"/],
    [{ default: { retries: 1, periodSeconds: 0 } }, /default\.periodSeconds: .*0/],
    [{ default: { retries: 1, periodSeconds: 604_801 } }, /default\.periodSeconds: .*604800/],
    [rule({ when: 'window_opens' }), /codes\.30003: .*"baseDelaySeconds".* a rule is "stop"/],
    [{ default: { retries: 1, when: 'tomorrow' } }, /default\.when: .*"window_opens"/],
    [{ default: { when: 'window_opens' } }, /default\.retries: .*number/],
    [{ codes: { '30003': [] } }, /codes\.30003: .*object/],
    [{ codes: { '30003': 'halt' } }, /codes\.30003: .*"stop"/],
    [{ codes: { '30003': null } }, /codes\.30003: .*"stop"/],
    [{ default: 'never' }, /default: .*"stop"/],
    [{ codes: { busy: 'stop' } }, /codes\.busy: .*error code such as 30003/],
    [{ codes: { '030003': 'stop' } }, /codes\.030003: .*error code such as 30003/],
    [{ codes: ['stop'] }, /codes: .*array/],
    [{ jitter: 1.1 }, /jitter: .*1/],
    [{ jitter: -0.1 }, /jitter: .*0/],
    [{ jitter: '10%' }, /jitter: .*number/],
    [{ maxDelaySeconds: 0 }, /maxDelaySeconds: .*0/],
    [{ maxDelay: 60 }, /policy: .*"maxDelay"/],
    [null, /policy: .*null/],
    ['stop', /policy: .*string/],
    [[], /policy: .*array/],
  ])('%j: %s', (overrides, line) => {
    // The example at the end has valid values as well, so only the lines of the faults count.
    const lines = faultOf(overrides).split('\n').slice(1, -1)
    expect(lines.filter((each) => line.test(each))).toHaveLength(1)
    expect(lines).toHaveLength(1)
  })

  test('all faults of the overrides are reported together, with a valid example', () => {
    const message = faultOf({
      default: { retries: 99, baseDelaySeconds: 1 },
      codes: { '30003': { retries: 0, baseDelaySeconds: -1 }, '30004': 'halt', busy: 'stop' },
      jitter: 2,
      maxDelaySeconds: 0,
      extra: true,
    })
    for (const place of ['default', 'codes.30003.retries', 'codes.30003.baseDelaySeconds', 'codes.30004']) {
      expect(message).toContain(`\n  ${place}`)
    }
    for (const place of ['codes.busy', 'jitter', 'maxDelaySeconds']) expect(message).toContain(`\n  ${place}`)
    expect(message).toContain('"extra"')
    const example = message.slice(message.indexOf('Example: ') + 'Example: '.length)
    expect(() => createRetryPolicy(JSON.parse(example))).not.toThrow()
  })
})
