// The figures of a month against figures that were calculated by hand from the same mix and curves, without jitter.
import { describe, expect, test } from '@jest/globals'
import { figuresOf } from '../../outcome/figures.ts'
import { causesOf } from '../../outcome/mix.ts'
import { play } from '../../outcome/play.ts'
import { specificationPolicy } from '../../outcome/policies.ts'
import { drawMonth } from '../../outcome/virtual-month.ts'
import { createRetryPolicy, type RetryPolicy } from '../../src/delivery/retry-policy.ts'

const month = drawMonth({ causes: causesOf('central', 'central'), messages: 100_000, days: 30, seed: 21 })
const failing = month.filter(({ cause }) => cause !== null)

const HOUR = 3600
const OTHERS = {
  30001: { retries: 2, baseDelaySeconds: 600 },
  30004: 'stop',
  30017: { retries: 2, baseDelaySeconds: 1800 },
} as const

function unreachable(rule: object, noReason: object | 'stop' = { retries: 1, baseDelaySeconds: 4 * HOUR }) {
  return createRetryPolicy({ jitter: 0, codes: { ...OTHERS, 30003: rule, 30008: noReason } })
}

const TABLE: readonly (readonly [
  name: string,
  policy: RetryPolicy,
  retried: number,
  recovered: number,
  retries: number,
])[] = [
  ['the specification', { ...specificationPolicy(), jitter: 0 }, 3950, 480, 7700],
  ['the default table', createRetryPolicy({ jitter: 0 }), 2520, 532, 4810],
  [
    '30003 after 1 and 3 hours',
    unreachable({ retries: 2, baseDelaySeconds: HOUR }, 'stop'),
    2370,
    1153,
    3920,
  ],
  ['30003 after 4 and 10 hours', unreachable({ retries: 2, baseDelaySeconds: 4 * HOUR }), 2850, 1733, 4020],
  ['30003 once after 24 hours', unreachable({ retries: 1, periodSeconds: 24 * HOUR }), 2850, 1906, 2900],
]

/** The figures by hand are rounded to ten, and know nothing of rounded shares. */
const ROUNDING = 10

describe.each(TABLE)('%s', (_name, policy, retried, recovered, retries) => {
  const figures = figuresOf(play(failing, { policy }))

  test(`retries ${retried} messages`, () => {
    expect(Math.abs(figures.retried - retried)).toBeLessThanOrEqual(ROUNDING)
  })

  test(`recovers ${recovered} of them, within four standard errors`, () => {
    const standardError = Math.sqrt(recovered * (1 - recovered / retried))
    expect(Math.abs(figures.recovered - recovered)).toBeLessThanOrEqual(4 * standardError + ROUNDING)
  })

  test(`makes ${retries} retries, within four standard errors`, () => {
    // Whether a message needs its second retry has a variance of at most a quarter.
    const standardError = Math.sqrt(retried / 4)
    expect(Math.abs(figures.retries - retries)).toBeLessThanOrEqual(4 * standardError + ROUNDING)
  })
})

test('of 6,180 messages that fail first, 2,478 could be delivered, within four standard errors', () => {
  const { possible } = figuresOf(play(failing, { policy: createRetryPolicy() }))
  // T1 to T3 decide it: 1,750 messages. About 101 of them stay unreachable.
  const standardError = Math.sqrt(1300 * 0.97 * 0.03 + 150 * 0.97 * 0.03 + 300 * 0.81 * 0.19)
  expect(failing).toHaveLength(6180)
  expect(Math.abs(possible - 2478)).toBeLessThanOrEqual(4 * standardError)
})
