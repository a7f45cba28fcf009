// Tests the replay on histories that can be counted by hand: with the same policy, fewer retries, other times, and where the
// history shows nothing.
import { describe, expect, test } from '@jest/globals'
import type { RetryPolicyOverrides, RuleOverride } from '../../src/delivery/policy-overrides.ts'
import { createRetryPolicy } from '../../src/delivery/retry-policy.ts'
import type { History } from '../../src/evidence/history.ts'
import { type Estimate, replay, type ReplayRow } from '../../src/evidence/replay.ts'
import { historyWith, pathOf, pathsWith } from './build-history.ts'

const OVERRIDES: RetryPolicyOverrides = {
  jitter: 0,
  codes: { 30003: { retries: 2, baseDelaySeconds: 300 } },
}
const IN_FORCE = createRetryPolicy(OVERRIDES)

/** Of 1,000 messages, the retry after 5 minutes delivered 200, and the one after 15 minutes 100 more. */
const HISTORY = historyWith(...pathsWith(30003, 1000, [300, 900], [200, 100]))

function replayRule(rule: RuleOverride, history: History = HISTORY): ReplayRow {
  return replay(history, createRetryPolicy({ ...OVERRIDES, codes: { 30003: rule } }), IN_FORCE).total
}

const rounded = ({ estimate }: Estimate): number => Math.round(estimate)

function expectCertain(estimate: Estimate, value: number): void {
  expect(estimate).toEqual({ estimate: value, low: value, high: value })
}

test('the policy in force gives the figures that happened, within an interval', () => {
  const { messages, happened, replayed } = replayRule({ retries: 2, baseDelaySeconds: 300 })
  expect(messages).toBe(1000)
  expect(happened).toEqual({
    ...{ retried: 1000, retries: 1800, recovered: 300, lost: 700, open: 0 },
    ...{ segments: 0, unmeasuredRetries: 1800 },
  })
  expect([rounded(replayed.retries), rounded(replayed.recovered), rounded(replayed.lost)]).toEqual([
    1800, 300, 700,
  ])
  // Two binomials with this share: of the history, and of the messages replayed.
  const deviation = Math.sqrt(2 * 1000 * 0.3 * 0.7)
  expect(replayed.recovered.low).toBeGreaterThan(300 - 2 * deviation)
  expect(replayed.recovered.low).toBeLessThan(300 - 1.3 * deviation)
  expect(replayed.recovered.high).toBeGreaterThan(300 + 1.3 * deviation)
  expect(replayed.recovered.high).toBeLessThan(300 + 2 * deviation)
  expectCertain(replayed.unknown, 0)
})

test('fewer retries recover only what these retries delivered', () => {
  const { replayed } = replayRule({ retries: 1, baseDelaySeconds: 300 })
  expect(rounded(replayed.recovered)).toBe(200)
  expectCertain(replayed.retries, 1000)
})

test('a stop recovers nothing and spends nothing', () => {
  const { replayed } = replayRule('stop')
  for (const figure of [replayed.retried, replayed.retries, replayed.recovered]) expectCertain(figure, 0)
  expectCertain(replayed.lost, 1000)
})

test('one retry between two observed times is bounded by the first retry and by both', () => {
  const { replayed } = replayRule({ retries: 1, baseDelaySeconds: 600 })
  expect(replayed.recovered.low).toBeLessThan(200)
  expect(replayed.recovered.low).toBeGreaterThan(150)
  expect(replayed.recovered.high).toBeGreaterThan(300)
  expect(replayed.recovered.high).toBeLessThan(350)
})

describe('the result is not known', () => {
  test('for a retry that is later than all in the history', () => {
    const { replayed } = replayRule({ retries: 1, baseDelaySeconds: 4 * 3600 })
    expectCertain(replayed.unknown, 1000)
    expectCertain(replayed.recovered, 0)
    expectCertain(replayed.lost, 0)
    expectCertain(replayed.retries, 1000)
  })

  test('for a retry that is much earlier than all in the history', () => {
    expectCertain(replayRule({ retries: 1, baseDelaySeconds: 20 }).replayed.unknown, 1000)
  })

  test('for one more retry than in the history: only the messages that reach it', () => {
    const { replayed } = replayRule({ retries: 3, baseDelaySeconds: 300 })
    expect(rounded(replayed.unknown)).toBe(700)
    expect(rounded(replayed.recovered)).toBe(300)
    expectCertain(replayed.lost, 0)
  })

  test('with fewer trials than ten', () => {
    const few = historyWith(...pathsWith(30003, 9, [300], [3]))
    expectCertain(replayRule({ retries: 1, baseDelaySeconds: 300 }, few).replayed.unknown, 9)
    const enough = historyWith(...pathsWith(30003, 10, [300], [3]))
    expectCertain(replayRule({ retries: 1, baseDelaySeconds: 300 }, enough).replayed.unknown, 0)
  })

  test.each<[string, number, History]>([
    ['later', 300, historyWith(...pathsWith(30003, 9, [300], [9]), ...pathsWith(30003, 1000, [3600], [400]))],
    [
      'earlier',
      3600,
      historyWith(...pathsWith(30003, 1000, [300], [400]), ...pathsWith(30003, 9, [3600], [0])),
    ],
  ])('with fewer trials than ten, although many trials at another time are %s', (_when, delay, history) => {
    const { replayed } = replayRule({ retries: 1, baseDelaySeconds: delay }, history)
    // Pooled with the others, they would have their share.
    expectCertain(replayed.unknown, 1009)
  })

  test('for a code that was never retried', () => {
    const history = historyWith(pathOf([30003], [], 'failed', 50))
    expectCertain(replayRule({ retries: 1, baseDelaySeconds: 300 }, history).replayed.unknown, 50)
  })

  test.each<[string, RuleOverride]>([
    ['a time of day', { retries: 1, after: '00:00', timeZone: 'UTC' }],
    ['the send window', { retries: 1, when: 'window_opens' }],
    ['a hold', 'hold'],
  ])('for a change to %s', (_what, rule) => {
    expectCertain(replayRule(rule).replayed.unknown, 1000)
  })
})

test('a rule with a time of day that stays is known from its own retries, at whatever delay they were made', () => {
  const inForce = createRetryPolicy()
  const paths = [3600, 20_000, 80_000].flatMap((wait) => pathsWith(30027, 100, [wait], [90]))
  const { total } = replay(historyWith(...paths), inForce, inForce)
  expect(rounded(total.replayed.recovered)).toBe(270)
  // No message had a second retry after a second failure.
  expect(rounded(total.replayed.unknown)).toBe(30)
})

test('with a time of day, a deadline between the waits of the history leaves the result open', () => {
  const inForce = createRetryPolicy()
  const paths = [3600, 20_000, 80_000].flatMap((wait) => pathsWith(30027, 100, [wait], [90]))
  const withDeadline = [600, 30_000, 90_000].map((remainingSeconds) =>
    pathOf([30027], [], 'failed', 50, { remainingSeconds }),
  )
  const { replayed } = replay(historyWith(...paths, ...withDeadline), inForce, inForce).total
  // Too early for each retry; before some retries and after others; after each retry.
  expectCertain(replayed.lost, 50)
  expect(rounded(replayed.recovered)).toBe(0.9 * 350)
  // These 50, and those of 350 that reach a second retry, which nobody had.
  expect(rounded(replayed.unknown)).toBe(50 + 35)
  expectCertain(replayed.retried, 350)
  expect(rounded(replayed.retries)).toBe(350 + 35)
  expect(replayed.retries.high).toBeGreaterThanOrEqual(350 + 35 + 2 * 50)
})

test('retries that waited for an opening are evidence for a later time', () => {
  const delayed = pathsWith(30003, 100, [8 * 3600], [80])
  const history = historyWith(...HISTORY.paths, ...delayed)
  const { replayed } = replayRule({ retries: 1, baseDelaySeconds: 8 * 3600 }, history)
  // The policy's longest back-off is 6 hours: between the observed times, and near the later one.
  expectCertain(replayed.unknown, 0)
  expect(replayed.recovered.high).toBeGreaterThan(800)
  const { replayed: own } = replayRule({ retries: 1, periodSeconds: 8 * 3600 }, history)
  expect(rounded(own.recovered)).toBe(880)
})

test('a share that falls with the time is pooled with the time before', () => {
  const history = historyWith(...pathsWith(30003, 100, [300], [40]), ...pathsWith(30003, 100, [3600], [20]))
  const { replayed } = replayRule({ retries: 1, baseDelaySeconds: 3600 }, history)
  expect(rounded(replayed.recovered)).toBe(60)
})

test('a message keeps its own limit of retries and its deadline', () => {
  const limited = pathsWith(30003, 100, [300], [20], { maxRetries: 1 })
  const urgent = pathsWith(30003, 100, [300], [20], { remainingSeconds: 800 })
  const { replayed } = replayRule(
    { retries: 2, baseDelaySeconds: 300 },
    historyWith(...HISTORY.paths, ...limited, ...urgent),
  )
  expect(Math.round(replayed.retries.estimate)).toBe(2000)
  expect(Math.round(replayed.recovered.estimate)).toBe(340)
})

test('messages whose code changes follow the rule of the new code', () => {
  // Half of the failed retries fail with 30007, which the policy never retries.
  const history = historyWith(
    pathOf([30003], [300], 'delivered', 200),
    pathOf([30003, 30007], [300], 'failed', 400),
    pathOf([30003, 30003], [300, 900], 'delivered', 100),
    pathOf([30003, 30003, 30003], [300, 900], 'failed', 300),
  )
  const { codes, total } = replay(history, IN_FORCE, IN_FORCE)
  expect(codes.map(({ code }) => code)).toEqual([30003])
  expect(rounded(total.replayed.recovered)).toBe(300)
  expect(rounded(total.replayed.retries)).toBe(1400)
  expect(total.happened).toMatchObject({ recovered: 300, lost: 700 })
})

test('segments are the retries times the mean segments of the code, and null if none are known', () => {
  const { happened, replayed } = replayRule(
    { retries: 1, baseDelaySeconds: 300 },
    historyWith(pathOf([30003, 30003], [300], 'failed', 100, { measured: 50, segments: 100 })),
  )
  // Retries of 50 messages with two segments each.
  expect([happened.segments, happened.unmeasuredRetries]).toEqual([100, 50])
  expect(replayed.segments).toEqual({ estimate: 200, low: 200, high: 200 })
  expect(replayRule('stop').replayed.segments).toBeNull()
})

test('the cost of a recovered message is the segments of all retries for each that is recovered', () => {
  const measured = historyWith(
    ...HISTORY.paths.map((path) => ({ ...path, measured: path.messages, segments: 2 * path.messages })),
  )
  const { replayed } = replayRule({ retries: 1, baseDelaySeconds: 300 }, measured)
  // 1,000 retries of two segments each recover about 200 messages.
  expect(replayed.segmentsPerRecovered?.estimate).toBeCloseTo(2000 / 200, 6)
  expect(replayed.segmentsPerRecovered?.low).toBeCloseTo(2000 / replayed.recovered.high, 6)
  expect(replayed.segmentsPerRecovered?.high).toBeCloseTo(2000 / replayed.recovered.low, 6)
  // Nothing is recovered, or no segments are known.
  expect(replayRule('stop', measured).replayed.segmentsPerRecovered).toBeNull()
  expect(replayRule({ retries: 1, baseDelaySeconds: 300 }).replayed.segmentsPerRecovered).toBeNull()
})

test('messages in progress count as open, and their failed retries as trials', () => {
  const history = historyWith(...HISTORY.paths, pathOf([30003, 30003], [300], 'open', 200))
  const { happened, replayed } = replayRule({ retries: 1, baseDelaySeconds: 300 }, history)
  expect(happened.open).toBe(200)
  expect(rounded(replayed.recovered)).toBe(200)
})

test('the same history and policy give the same figures', () => {
  const rule: RuleOverride = { retries: 1, baseDelaySeconds: 600 }
  expect(replayRule(rule)).toEqual(replayRule(rule))
})

test('an empty history gives zeros', () => {
  const { codes, total } = replay(historyWith(), IN_FORCE, IN_FORCE)
  expect(codes).toEqual([])
  expect(total.messages).toBe(0)
  expectCertain(total.replayed.recovered, 0)
})
