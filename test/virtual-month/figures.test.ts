import { describe, expect, test } from '@jest/globals'
import type { Cause } from '../../outcome/cause.ts'
import { codeBoundsOf, codeLimitsOf } from '../../outcome/code-limits.ts'
import { compare, usualPolicies } from '../../outcome/compare.ts'
import { figuresOf } from '../../outcome/figures.ts'
import { causesOf } from '../../outcome/mix.ts'
import { play } from '../../outcome/play.ts'
import { specificationPolicy } from '../../outcome/policies.ts'
import { drawMonth, type VirtualMessage } from '../../outcome/virtual-month.ts'
import { createRetryPolicy } from '../../src/delivery/retry-policy.ts'

const SOON = { kind: 'mixture', parts: [{ share: 1, meanMinutes: 0 }] } as const
const NEVER = { kind: 'never' } as const

type Part = Pick<Cause, 'share' | 'recovery'> & { readonly code: number } & Partial<Cause>

/** 1,000 messages. These shares of them fail. */
function monthOf(...parts: readonly Part[]): readonly VirtualMessage[] {
  const causes = parts.map(({ code, ...part }, i) => ({
    id: `cause ${i}`,
    codes: [{ code, share: 1 }],
    failsBy: 'report' as const,
    ...part,
  }))
  return drawMonth({ causes, messages: 1000, days: 30, seed: 2 })
}

const policy = createRetryPolicy()
const target = (month: readonly VirtualMessage[], name: string) =>
  figuresOf(play(month, { policy })).targets.find((one) => one.name === name)

describe('the criteria', () => {
  const month = monthOf(
    { share: 0.1, code: 30003, recovery: SOON },
    { share: 0.05, code: 30003, recovery: NEVER },
    { share: 0.02, code: 30005, recovery: SOON },
    { share: 0.03, code: 30005, recovery: NEVER },
  )

  test('delivered leaves out the messages that could not be delivered', () => {
    // Of 920 that could be delivered, the table gives up 20, because it stops 30005.
    expect(target(month, 'delivered')).toMatchObject({ value: 900 / 920, isMet: false })
  })

  test('retry success counts all messages that were retried', () => {
    expect(target(month, 'retry success')).toMatchObject({ value: 100 / 150, isMet: false })
  })

  test('average retries counts all retries', () => {
    expect(target(month, 'average retries')).toMatchObject({ value: (100 + 50 * 2) / 150, isMet: true })
  })
})

describe('retries in vain', () => {
  const month = monthOf(
    { share: 0.01, code: 30003, recovery: NEVER },
    { share: 0.02, code: 30004, recovery: NEVER },
    { share: 0.03, code: 30005, recovery: NEVER },
    { share: 0.04, code: 30003, recovery: SOON },
  )

  test('are counted by the rule of the table, and not for messages that could be delivered', () => {
    const figures = figuresOf(play(month, { policy: specificationPolicy() }))
    expect(figures.vainRetries).toEqual({ stopped: 60, unreachable: 20, other: 40 })
    expect(figures.retries).toBe(60 + 20 + 40 + 40)
  })

  test('are none with the table for the codes that it stops', () => {
    expect(figuresOf(play(month, { policy })).vainRetries).toEqual({ stopped: 0, unreachable: 20, other: 40 })
  })
})

test('segments are those of the attempts that Twilio accepted', () => {
  const month = monthOf(
    { share: 0.1, code: 30003, recovery: SOON },
    { share: 0.1, code: 21211, recovery: NEVER, failsBy: 'refusal' },
  )
  const segmentsOf = (codes: readonly (number | null)[]): number =>
    month.reduce((sum, { code, segments }) => sum + (codes.includes(code) ? segments : 0), 0)
  const figures = figuresOf(play(month, { policy }))
  expect(figures.segmentsOfRetries).toBe(segmentsOf([30003]))
  expect(figures.segments).toBe(segmentsOf([null, 30003]) + segmentsOf([30003]))
})

test('the time to a delivery is counted from the first attempt to the report of the delivery', () => {
  const month = monthOf({ share: 0.1, code: 30003, recovery: SOON })
  const { medianSeconds, percentile90Seconds } = figuresOf(play(month, { policy }))
  // Five minutes, up to 10 % of jitter, and two reports: half take less than 30 seconds, and less than 10 seconds.
  expect(medianSeconds).toBeGreaterThan(300)
  expect(medianSeconds).toBeLessThan(450)
  expect(percentile90Seconds).toBeGreaterThan(medianSeconds ?? Number.NaN)
})

test('a recipient gets a message twice if a retry delivers it and the first attempt arrives late', () => {
  const month = monthOf({ share: 0.5, code: 30003, recovery: SOON, lateCopyShare: 0.2 })
  const late = month.filter(({ arrivesLate }) => arrivesLate).length
  expect(figuresOf(play(month, { policy })).twice).toBe(late)
  expect(figuresOf(play(month, { policy, retries: false })).twice).toBe(0)
  expect(late).toBeGreaterThan(0)
})

test('a request that Twilio did not process is neither retried nor recovered', () => {
  const month = monthOf({ share: 0.1, code: 20429, recovery: SOON, failsBy: 'not_processed' })
  const figures = figuresOf(play(month, { policy }))
  expect([figures.delivered, figures.retried, figures.recoverable]).toEqual([1000, 0, 0])
})

describe('a policy that knows only the error code', () => {
  const month = monthOf(
    { share: 0.06, code: 30003, recovery: SOON },
    { share: 0.04, code: 30003, recovery: NEVER },
    { share: 0.02, code: 30001, recovery: SOON },
    { share: 0.01, code: 30007, recovery: NEVER },
  )

  test('is limited by the messages that could be delivered with each code', () => {
    expect(codeLimitsOf(month)).toEqual([
      { code: 30003, failed: 100, possible: 60 },
      { code: 30001, failed: 20, possible: 20 },
      { code: 30007, failed: 10, possible: 0 },
    ])
  })

  test('has to choose between the share of the delivered and retry success', () => {
    // 870 at first, 950 that could be delivered.
    expect(codeBoundsOf(month, { delivered: 0.99, retrySuccess: 0.8 })).toEqual({
      mostDelivered: { codes: [30001], delivered: 890 / 950, retrySuccess: 1 },
      highestSuccess: { codes: [30003, 30001], delivered: 1, retrySuccess: 80 / 120 },
    })
  })

  test('has no choice that reaches more than all', () => {
    expect(codeBoundsOf(month, { delivered: 1, retrySuccess: 1 })).toEqual({
      mostDelivered: null,
      highestSuccess: null,
    })
  })
})

describe('the comparison', () => {
  const options = { mix: 'central', handsets: 'central', messages: 10_000, seed: 4, lookedUp: 0 } as const
  const { policies } = compare(options, usualPolicies(options))
  const figuresFor = (name: string) => {
    const found = policies.find((one) => one.name === name)
    if (found === undefined) throw new Error(`There is no policy ${name}`)
    return found.figures
  }

  test('has each policy once', () => {
    expect(policies.map(({ name }) => name)).toEqual([
      'none',
      'specification',
      'ours',
      'advised',
      'advised after a trial',
      'can wait',
    ])
  })

  test('delivers without retries exactly the share that the mix does not fail', () => {
    const failed = causesOf('central', 'central').map(({ share }) => Math.round(share * 10_000))
    const delivered = 10_000 - failed.reduce((sum, count) => sum + count, 0)
    expect(figuresFor('none')).toMatchObject({ messages: 10_000, delivered, retries: 0 })
  })

  test('has the same messages that could be delivered for each policy', () => {
    expect(new Set(policies.map(({ figures }) => figures.possible)).size).toBe(1)
  })

  test('has no retries in vain of codes that the table stops, except with the specification', () => {
    const stopped = policies.map(({ name, figures }) => [name, figures.vainRetries.stopped > 0])
    expect(stopped.filter(([, isAny]) => isAny)).toEqual([['specification', true]])
  })
})
