// Tests on random histories that each estimate lies within its own interval, also where all retries succeed or none.
import { expect, test } from '@jest/globals'
import { createRetryPolicy, type RetryPolicy } from '../../src/delivery/retry-policy.ts'
import { advise } from '../../src/evidence/advise.ts'
import type { History, Path } from '../../src/evidence/history.ts'
import { createRandom, type Random } from '../../src/evidence/random-draws.ts'
import { type Estimate, replay } from '../../src/evidence/replay.ts'
import { historyWith, pathOf, pathsWith } from './build-history.ts'

const CODES = [30001, 30002, 30003, 30004, 30017]
const SHARES = [0, 0, 0.005, 0.02, 0.3, 0.99, 1, 1]
const SCHEDULES = [[300], [300, 900], [300, 900, 2100], [3600], [3600, 10_800], [14_400]]
const DELAYS = [300, 900, 1200, 3600, 14_000]

const oneOf = <T>(values: readonly T[], random: Random): T => {
  const value = values[Math.floor(random() * values.length)]
  if (value === undefined) throw new Error('no values')
  return value
}

/** A few messages with deadlines or other codes as well, because few messages make the smallest estimates. */
function drawHistory(random: Random): History {
  const paths = CODES.flatMap((code): Path[] => {
    const schedules = [oneOf(SCHEDULES, random), oneOf(SCHEDULES, random)]
    return schedules.flatMap((elapsed) => {
      const messages = 10 + Math.floor(random() * 10 ** (1 + 2 * random()))
      let left = messages
      const delivered = elapsed.map(() => {
        const count = Math.round(left * oneOf(SHARES, random))
        left -= count
        return count
      })
      const other = pathOf([code, oneOf(CODES, random)], [300], 'failed', 1 + Math.floor(random() * 3))
      const isUrgent = random() < 0.3
      const fields = isUrgent ? { remainingSeconds: oneOf(DELAYS, random), maxRetries: 2 } : {}
      return [...pathsWith(code, messages, elapsed, delivered, fields), other]
    })
  })
  return historyWith(...paths.filter(({ messages }) => messages > 0))
}

function drawPolicy(random: Random): RetryPolicy {
  const codes = CODES.map((code) => [
    code,
    { retries: 1 + Math.floor(random() * 3), baseDelaySeconds: oneOf(DELAYS, random) },
  ])
  return createRetryPolicy({ jitter: 0, codes: Object.fromEntries(codes) })
}

function outside(estimates: Readonly<Record<string, Estimate | null>>): string[] {
  return Object.entries(estimates).flatMap(([name, one]) =>
    one === null || (one.low <= one.estimate && one.estimate <= one.high)
      ? []
      : [`${name} ${one.estimate} (${one.low} to ${one.high})`],
  )
}

const POLICY = createRetryPolicy({
  jitter: 0,
  codes: Object.fromEntries(CODES.map((code) => [code, { retries: 1, baseDelaySeconds: 300 }])),
})

test.each([
  0, 50,
])('if %d of 50 retries of each code succeed, the interval of the total has this end', (count) => {
  const history = historyWith(...CODES.flatMap((code) => pathsWith(code, 50, [300], [count])))
  const { recovered } = replay(history, POLICY, POLICY).total.replayed
  expect(count === 0 ? recovered.low : recovered.high).toBe(CODES.length * count)
  expect(recovered.estimate).toBe(CODES.length * count)
})

test('one message that a retry would hardly deliver is not delivered, with certainty', () => {
  // Only the message without a deadline is retried. One of 100 such retries succeeded.
  const urgent = pathsWith(30003, 100, [300], [1], { remainingSeconds: 100 })
  const history = historyWith(...urgent, pathOf([30003], [], 'failed', 1))
  const { recovered, lost } = replay(history, POLICY, POLICY).total.replayed
  expect(recovered).toEqual({ estimate: 0, low: 0, high: 0 })
  expect(lost).toEqual({ estimate: 101, low: 101, high: 101 })
})

test('each estimate of ten replays lies within its own interval', () => {
  const random = createRandom(1)
  for (let i = 0; i < 10; i += 1) {
    const [history, inForce] = [drawHistory(random), drawPolicy(random)]
    const { codes, total } = replay(history, drawPolicy(random), inForce)
    expect([...codes, total].flatMap(({ replayed }) => outside({ ...replayed }))).toEqual([])
  }
})

test('each estimate of the advice on 25 histories lies within its own interval', () => {
  const random = createRandom(2)
  let changes = 0
  for (let i = 0; i < 25; i += 1) {
    const advised = advise(drawHistory(random), drawPolicy(random)).changes
    changes += advised.length
    for (const { recovered, retries, segments } of advised)
      expect(outside({ recovered, retries, segments })).toEqual([])
  }
  expect(changes).toBeGreaterThan(5)
})
