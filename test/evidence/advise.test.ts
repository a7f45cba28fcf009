// Tests which changes a history supports, and that nothing is advised without evidence.
import { describe, expect, test } from '@jest/globals'
import type { RetryPolicyOverrides, RuleOverride } from '../../src/delivery/policy-overrides.ts'
import { createRetryPolicy, maxRetriesOf, type RetryPolicy } from '../../src/delivery/retry-policy.ts'
import { type Advice, type AdvisedPolicy, advise, WORTHWHILE_SHARE } from '../../src/evidence/advise.ts'
import { historyOf } from '../../src/evidence/history.ts'
import { historyWith, pathOf, pathsWith } from './build-history.ts'
import { type Cause, playMonth } from './failing-month.ts'

const policyWith = (codes: Record<number, RuleOverride> = {}, more: RetryPolicyOverrides = {}): RetryPolicy =>
  createRetryPolicy({ jitter: 0, ...more, codes: { 30003: { retries: 2, baseDelaySeconds: 300 }, ...codes } })

const kindsOf = ({ changes }: AdvisedPolicy): string[] => changes.map(({ code, kind }) => `${code} ${kind}`)

function onlyChange(advised: AdvisedPolicy): Advice {
  expect(advised.changes).toHaveLength(1)
  const [change] = advised.changes
  if (change === undefined) throw new Error('no change')
  return change
}

describe('a stop is advised', () => {
  test('if surely fewer retries than 1 in 50 succeed', () => {
    const history = historyWith(
      ...pathsWith(30003, 1000, [300, 900], [1, 1], { measured: 100, segments: 150 }),
    )
    const { kind, to, recovered, retries, segments } = onlyChange(advise(history, policyWith()))
    expect([kind, to]).toEqual(['stop', { action: 'stop' }])
    expect(recovered.high).toBeLessThanOrEqual(0)
    expect(recovered.low).toBeGreaterThan(-15)
    expect(Math.round(retries.estimate / 100)).toBe(-20)
    expect(segments?.estimate).toBeCloseTo(1.5 * retries.estimate, 0)
  })

  test('not with the same share of few retries', () => {
    const history = historyWith(...pathsWith(30003, 80, [300, 900], [0, 0]))
    expect(advise(history, policyWith())).toMatchObject({ changes: [], unchanged: [30003] })
  })

  test('not if the second retry is worthwhile', () => {
    const history = historyWith(...pathsWith(30003, 1000, [300, 900], [0, 50]))
    expect(kindsOf(advise(history, policyWith()))).toEqual([])
  })

  test('not because an earlier retry than the policy makes delivers nothing', () => {
    const history = historyWith(
      ...pathsWith(30003, 1000, [300], [0]),
      ...pathsWith(30003, 1000, [3600], [400]),
    )
    const policy = policyWith({ 30003: { retries: 1, baseDelaySeconds: 1200 } })
    expect(kindsOf(advise(history, policy))).toEqual([])
  })

  test('also for a code that the table stops and the user retries', () => {
    const history = historyWith(...pathsWith(30007, 1000, [300, 900], [0, 0]))
    const policy = policyWith({ 30007: { retries: 2, baseDelaySeconds: 300 } })
    expect(kindsOf(advise(history, policy))).toEqual(['30007 stop'])
  })
})

test('each shorter rule counts as a comparison', () => {
  const history = historyWith(...pathsWith(30003, 1000, [300, 900, 2100], [100, 100, 100]))
  // With 1, 2 or no retries. No rule has more than three, and no delay is longer.
  const policy = policyWith({ 30003: { retries: 3, baseDelaySeconds: 300 } })
  expect(advise(history, policy).comparisons).toBe(3)
})

test('fewer retries are advised if only the last one surely delivers nothing', () => {
  const history = historyWith(...pathsWith(30003, 1500, [300, 900], [300, 0]))
  const { kind, to } = onlyChange(advise(history, policyWith()))
  expect([kind, to]).toEqual(['fewer', { action: 'retry', retries: 1, baseDelaySeconds: 300 }])
})

test('one more retry is advised if the history has one that delivers', () => {
  const history = historyWith(...pathsWith(30003, 1000, [300, 900, 2100], [100, 100, 100]))
  const policy = policyWith({ 30001: { retries: 3, baseDelaySeconds: 60 } })
  const { kind, to, recovered, retries } = onlyChange(advise(history, policy))
  expect([kind, to]).toEqual(['more', { action: 'retry', retries: 3, baseDelaySeconds: 300 }])
  expect(Math.round(recovered.estimate / 10)).toBe(10)
  expect(recovered.low).toBeGreaterThan(80)
  expect(recovered.high).toBeLessThan(120)
  expect(Math.round(retries.estimate / 10)).toBe(80)
})

test('a retry is advised for a code that the user stopped, if the history has retries that deliver', () => {
  const history = historyWith(...pathsWith(30003, 1000, [300], [100]), pathOf([30003], [], 'failed', 500))
  const { kind, from, to, recovered } = onlyChange(advise(history, policyWith({ 30003: 'stop' })))
  expect([kind, from, to]).toEqual([
    'more',
    { action: 'stop' },
    { action: 'retry', retries: 1, baseDelaySeconds: 300 },
  ])
  expect(Math.round(recovered.estimate)).toBe(150)
})

test('more retries than the policy gives to any code are never advised', () => {
  const history = historyWith(...pathsWith(30003, 1000, [300, 900, 2100, 4500], [100, 100, 100, 100]))
  const policy = policyWith()
  expect(maxRetriesOf(policy)).toBe(3)
  expect(onlyChange(advise(history, policy)).to).toMatchObject({ retries: 3 })
})

describe('a later retry', () => {
  const short = pathsWith(30003, 1000, [300, 900], [50, 50])
  const delayed = pathsWith(30003, 200, [4 * 3600], [150])

  test('is advised if retries that waited longer, such as for a send window, deliver more', () => {
    const { kind, to, recovered, retries } = onlyChange(
      advise(historyWith(...short, ...delayed), policyWith()),
    )
    expect([kind, to]).toEqual(['later', { action: 'retry', retries: 1, baseDelaySeconds: 14_000 }])
    // The interval of 150 successes in 200 trials, for 1,200 messages.
    expect(recovered.low).toBeGreaterThan(650)
    expect(recovered.high).toBeLessThan(900)
    expect(retries.high).toBeLessThan(0)
  })

  test('is not advised if no retry waited longer', () => {
    expect(kindsOf(advise(historyWith(...short), policyWith()))).toEqual([])
  })

  test('is not advised for a code that the table stops', () => {
    const paths = [
      ...pathsWith(30008, 1000, [300, 900], [50, 50]),
      ...pathsWith(30008, 200, [4 * 3600], [150]),
    ]
    const policy = policyWith({ 30008: { retries: 2, baseDelaySeconds: 300 } })
    expect(advise(historyWith(...paths), policy)).toMatchObject({ changes: [], unchanged: [30008] })
  })

  test('longer than the maximum back-off is a rule with a period', () => {
    const dayLater = pathsWith(30003, 200, [24 * 3600], [150])
    const { to } = onlyChange(advise(historyWith(...short, ...dayLater), policyWith()))
    expect(to).toEqual({ action: 'retry', retries: 1, periodSeconds: 86_000 })
  })

  test('longer than a policy file may have is not advised', () => {
    const afterEightDays = pathsWith(30003, 200, [8 * 24 * 3600], [150])
    expect(kindsOf(advise(historyWith(...short, ...afterEightDays), policyWith()))).toEqual([])
  })
})

test.each<[string, readonly (number | null)[], RetryPolicy]>([
  ['a code that was never retried', [21610], policyWith()],
  ['a failure without a code', [null], policyWith()],
  ['a code of the account', [20003], policyWith()],
  ['a code that counts towards a hold, because a policy file cannot keep that', [30002], policyWith()],
  ['a number that a policy file does not accept as a code', [999], policyWith()],
])('nothing is advised for %s', (_what, codes, policy) => {
  const paths = [pathOf(codes, [], 'failed', 1000), ...pathsWith(codes[0] ?? null, 1000, [300, 900], [0, 0])]
  const { changes, unchanged } = advise(
    historyWith(...(codes[0] === 21610 ? paths.slice(0, 1) : paths)),
    policy,
  )
  expect([changes, unchanged]).toEqual([[], []])
})

test('nothing is advised because few retries of the policy in force had bad luck', () => {
  // If 15 % of the retries succeed at both times, none of 35 do in 0.34 % of such histories: too often for 50 comparisons.
  const codes = [30001, 30003, 30004, 30017, 30020, 30021, 30022, 30036, 30047, 30500]
  const policy = createRetryPolicy({
    jitter: 0,
    codes: Object.fromEntries(codes.map((code) => [code, { retries: 1, baseDelaySeconds: 300 }])),
  })
  const paths = codes.flatMap((code) => [
    ...pathsWith(code, 35, [300], [code === 30003 ? 0 : 5]),
    ...pathsWith(code, 2000, [3600], [300]),
  ])
  const advised = advise(historyWith(...paths), policy)
  expect(advised.comparisons).toBeGreaterThanOrEqual(50)
  expect(kindsOf(advised)).toEqual([])
})

test('nothing is advised for a code that counts towards a hold, because a policy file cannot say so', () => {
  const history = historyWith(...pathsWith(30002, 1500, [120, 360, 840], [300, 0, 0]))
  expect(advise(history, policyWith())).toMatchObject({ changes: [], unchanged: [] })
  // Such a rule counts no more.
  const own = policyWith({ 30002: { retries: 3, baseDelaySeconds: 120 } })
  expect(kindsOf(advise(history, own))).toEqual(['30002 fewer'])
})

test('nothing is advised while the policy in force makes retries that the history does not show', () => {
  const history = historyWith(...pathsWith(30003, 1000, [300, 900], [0, 0]))
  const policy = policyWith({ 30003: { retries: 2, baseDelaySeconds: 7200 } })
  expect(kindsOf(advise(history, policy))).toEqual([])
})

test('an empty history advises nothing', () => {
  expect(advise(historyWith(), policyWith())).toEqual({ changes: [], unchanged: [], comparisons: 0 })
})

test('no change is advised by chance in four months of ten codes whose longer delays do not help', () => {
  const codes = [30001, 30002, 30003, 30004, 30017, 30020, 30021, 30022, 30035, 30036]
  const policy = createRetryPolicy({
    codes: Object.fromEntries(codes.map((code) => [code, { retries: 2, baseDelaySeconds: 300 }])),
  })
  const later = createRetryPolicy({
    codes: Object.fromEntries(codes.map((code) => [code, { retries: 2, baseDelaySeconds: 3600 }])),
  })
  // Each retry succeeds as often as the threshold of a stop, so that a stop would be wrong as well.
  const shares = [WORTHWHILE_SHARE, 0.1, 0.3]
  for (let seed = 1; seed <= 4; seed += 1) {
    const causes = codes.map(
      (code, i): Cause => ({
        ...{ code, messages: 150 },
        recovery: { kind: 'each', share: shares[i % shares.length] ?? 0 },
      }),
    )
    const history = historyOf([...playMonth(causes, policy, seed), ...playMonth(causes, later, 100 + seed)])
    expect(kindsOf(advise(history, policy))).toEqual([])
  }
})
