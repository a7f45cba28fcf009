// Plays the same month with each policy.
import { type CodeBounds, codeBoundsOf, type CodeLimit, codeLimitsOf } from './code-limits.ts'
import { type Figures, figuresOf, HORIZON_HOURS } from './figures.ts'
import { causesOf, type Handsets, type MixName } from './mix.ts'
import { play } from './play.ts'
import { advisedPolicies } from './advised.ts'
import { type NamedPolicy, patientPolicy, tables } from './policies.ts'
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
  readonly policies: readonly {
    readonly name: string
    /** The changes to the default table that the month before supports; null for a policy that does not depend on it. */
    readonly changes: NonNullable<NamedPolicy['changes']> | null
    readonly figures: Figures
  }[]
  readonly codes: readonly CodeLimit[]
  /** What no policy can exceed that knows only the error code. */
  readonly bounds: CodeBounds
}

/** The specification's criteria for all messages together. */
const WANTED = { delivered: 0.99, retrySuccess: 0.8 }

/** The default table, what it replaces, what the month before advises, and the file for messages that can wait. */
export function usualPolicies(options: ComparisonOptions): readonly NamedPolicy[] {
  const monthBefore = drawMonth(monthOptions(options, seedBefore(options.seed)))
  return [...tables(), ...advisedPolicies(monthBefore), patientPolicy()]
}

export function compare(options: ComparisonOptions, policies: readonly NamedPolicy[]): Comparison {
  const month = drawMonth(monthOptions(options, options.seed))
  const failing = month.filter(({ cause }) => cause !== null)
  // A message that is delivered at the first attempt meets no rule, so one play of them is true of each policy.
  const others = play(
    month.filter(({ cause }) => cause === null),
    { policy: createRetryPolicy() },
  )
  return {
    options,
    horizonHours: HORIZON_HOURS,
    policies: policies.map(({ name, policy, retries, changes = null }) => ({
      name,
      changes,
      figures: figuresOf([...others, ...play(failing, { policy, retries })]),
    })),
    codes: codeLimitsOf(month),
    bounds: codeBoundsOf(month, WANTED),
  }
}

function monthOptions({ mix, handsets, messages, lookedUp }: ComparisonOptions, seed: number): MonthOptions {
  const carriersStore = handsets === 'stored'
  return { causes: causesOf(mix, handsets, lookedUp), messages, days: 30, seed, carriersStore }
}

/** The month before has the same mix, and other messages. */
const seedBefore = (seed: number): number => (seed + 2 ** 31) >>> 0
