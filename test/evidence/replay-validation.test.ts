// Validates the replay against months whose chances are known: the history of one policy predicts another policy, which is
// then really played with other random numbers.
import { expect, test } from '@jest/globals'
import { createRetryPolicy, type RetryPolicy } from '../../src/delivery/retry-policy.ts'
import { historyOf } from '../../src/evidence/history.ts'
import { type Estimate, groupsOf, replay } from '../../src/evidence/replay.ts'
import { type Cause, playMonth } from './failing-month.ts'

/** 6 % of 30 days of 3,000 messages. Causes that end once, and causes that each retry meets anew. */
const CAUSES: readonly Cause[] = [
  {
    code: 30003,
    messages: 2200,
    recovery: {
      kind: 'ends',
      parts: [
        { share: 0.3, meanSeconds: 600 },
        { share: 0.2, meanSeconds: 7200 },
        { share: 0.2, meanSeconds: 28_800 },
      ],
    },
  },
  { code: 30001, messages: 400, recovery: { kind: 'ends', parts: [{ share: 1, meanSeconds: 1800 }] } },
  { code: 30002, messages: 300, recovery: { kind: 'ends', parts: [{ share: 0.9, meanSeconds: 300 }] } },
  { code: 30004, messages: 700, recovery: { kind: 'ends', parts: [{ share: 0.03, meanSeconds: 60 }] } },
  { code: 30017, messages: 500, recovery: { kind: 'each', share: 0.3 } },
  { code: 30022, messages: 600, recovery: { kind: 'each', share: 0.6 } },
  { code: 30036, messages: 200, recovery: { kind: 'each', share: 0.1 } },
  { code: 30021, messages: 300, recovery: { kind: 'ends', parts: [{ share: 0.6, meanSeconds: 900 }] } },
  // Its failures have another code from the first retry on.
  { code: 30500, messages: 500, recovery: { kind: 'each', share: 0.5 }, nextCode: 63012 },
]

const BASE_SECONDS: Readonly<Record<number, number>> = {
  ...{ 30003: 600, 30001: 120, 30002: 120, 30004: 180 },
  ...{ 30017: 120, 30022: 180, 30036: 120, 30021: 120, 30500: 120, 63012: 120 },
}

/** One rule for every code: the retries, and the first delay as a multiple of the code's own. */
function policyWith(retries: number, factor: number): RetryPolicy {
  const codes = Object.entries(BASE_SECONDS).map(([code, base]) => [
    code,
    { retries, baseDelaySeconds: base * factor },
  ])
  return createRetryPolicy({ codes: Object.fromEntries(codes) })
}

const IN_FORCE = policyWith(3, 1)

/** Retries after 1, 3 and 7 times the base are in the history. The last two have times between these. */
const OTHERS: readonly (readonly [retries: number, factor: number])[] = [
  [1, 1],
  [2, 1],
  [3, 1],
  [1, 2],
  [2, 1.6],
]

test('the recovered messages and the retries of another policy lie within the 90 % interval in 85 % of 40 code-policies', () => {
  const history = historyOf(playMonth(CAUSES, IN_FORCE, 1))
  const cases = OTHERS.flatMap(([retries, factor], i) => {
    const policy = policyWith(retries, factor)
    const { codes } = replay(history, policy, IN_FORCE)
    const truth = groupsOf(historyOf(playMonth(CAUSES, policy, 100 + i)), policy)
    return codes.map(({ code, messages, replayed }) => {
      const real = truth.find((row) => row.code === code)
      return { code, policy: `${retries} x ${factor}`, messages, replayed, real: real?.happened }
    })
  })
  // The code changes, so no history shows this code's own retries at other times.
  const unknown = cases.filter(({ replayed }) => replayed.unknown.high > 0)
  expect(unknown.map(({ code, policy }) => `${code} ${policy}`)).toEqual(['30500 1 x 2', '30500 2 x 1.6'])
  const known = cases.filter(({ replayed }) => replayed.unknown.high === 0)
  expect(known.length).toBeGreaterThanOrEqual(40)
  const isWithin = (value: number | undefined, { low, high }: Estimate): boolean =>
    value !== undefined && value >= low && value <= high
  const recovered = known.filter(({ replayed, real }) => isWithin(real?.recovered, replayed.recovered))
  const retries = known.filter(({ replayed, real }) => isWithin(real?.retries, replayed.retries))
  // An interval that covers everything would hold as well.
  const meanWidth = (isOfPolicy: (policy: string) => boolean): number => {
    const widths = known
      .filter(({ policy }) => isOfPolicy(policy))
      .map(({ messages, replayed }) => (replayed.recovered.high - replayed.recovered.low) / messages)
    return widths.reduce((sum, width) => sum + width, 0) / widths.length
  }
  expect(meanWidth((policy) => policy.endsWith('x 1'))).toBeLessThan(0.12)
  expect(meanWidth((policy) => !policy.endsWith('x 1'))).toBeLessThan(0.3)
  expect(recovered.length / known.length).toBeGreaterThanOrEqual(0.85)
  expect(retries.length / known.length).toBeGreaterThanOrEqual(0.85)
})
