// Plays the same month with each policy.
import { type CodeBounds, codeBoundsOf, type CodeLimit, codeLimitsOf } from './code-limits.ts'
import { type Figures, figuresOf, HORIZON_HOURS } from './figures.ts'
import { causesOf, type Handsets, type MixName } from './mix.ts'
import { play } from './play.ts'
import { fixedPolicies, type NamedPolicy } from './policies.ts'
import { drawMonth, type MonthOptions } from './virtual-month.ts'
import { createRetryPolicy } from '../src/delivery/retry-policy.ts'

export interface ComparisonOptions {
  readonly mix: MixName
  readonly handsets: Handsets
  readonly messages: number
  readonly seed: number
  /** The share of dead numbers and landlines that a look-up before sending has removed. */
  readonly lookedUp: number
}

export interface Comparison {
  readonly options: ComparisonOptions
  readonly horizonHours: number
  readonly policies: readonly { readonly name: string; readonly figures: Figures }[]
  readonly codes: readonly CodeLimit[]
  /** What no policy can exceed that knows only the error code. */
  readonly bounds: CodeBounds
}

/** The specification's criteria for all messages together. */
const WANTED = { delivered: 0.99, retrySuccess: 0.8 }

export function monthOptions(options: ComparisonOptions, seed = options.seed): MonthOptions {
  const { mix, handsets, messages, lookedUp } = options
  const reportsLate = handsets === 'late'
  return { causes: causesOf(mix, handsets, lookedUp), messages, days: 30, seed, reportsLate }
}

/** @param more policies to compare besides the usual ones */
export function compare(options: ComparisonOptions, more: readonly NamedPolicy[] = []): Comparison {
  const month = drawMonth(monthOptions(options))
  const failing = month.filter(({ cause }) => cause !== null)
  // A message that is delivered at the first attempt meets no rule, so one play of them is true of each policy.
  const others = play(
    month.filter(({ cause }) => cause === null),
    { policy: createRetryPolicy() },
  )
  const policies = [...fixedPolicies(), ...more].map(({ name, ...policy }) => ({
    name,
    figures: figuresOf([...others, ...play(failing, policy)]),
  }))
  const codes = codeLimitsOf(month)
  return { options, horizonHours: HORIZON_HOURS, policies, codes, bounds: codeBoundsOf(month, WANTED) }
}
