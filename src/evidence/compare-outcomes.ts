// Compares the outcomes of two policies for the same messages.
import type { Bound, Odds, Plans } from './flow.ts'
import { createRandom } from './random-draws.ts'
import {
  difference,
  drawnOdds,
  type Estimate,
  EXPECTED,
  type Group,
  HIGH,
  LOW,
  type Outcome,
  outcomeOf,
  quantile,
} from './replay.ts'

/** Work in short steps, between which the caller can do other work. The result is the return value. */
export type Steps<Result> = Generator<undefined, Result, undefined>

/** What the other policy adds, with 90 % intervals. Negative for fewer. */
export interface Gains {
  readonly recovered: Estimate
  readonly retries: Estimate
  /** Null if no segments are known. */
  readonly segments: Estimate | null
}

export interface Comparison extends Gains {
  /** Of the difference in recovered messages, by the bounds that are worse for the other rule. */
  readonly mean: number
  readonly deviation: number
  readonly skewness: number
}

const DRAWS = 400

/** Compares two policies with the same drawn shares, each by its low and its high bound. */
export function* compareOutcomes(group: Group, plans: Plans, others: Plans): Steps<Comparison> {
  const expected = differencesOf(group, plans, others, EXPECTED)
  const drawn: Differences[] = []
  for (let seed = 0; seed < DRAWS; seed += 1) {
    yield
    const odds = { ...drawnOdds(createRandom(seed)), split: EXPECTED.split }
    drawn.push(differencesOf(group, plans, others, odds))
  }
  const estimate = (figureOf: (outcome: Outcome) => number): Estimate => {
    const [worst, best] = [
      drawn.map((differences) => figureOf(differences.worst)),
      drawn.map((differences) => figureOf(differences.best)),
    ]
    return {
      estimate: (figureOf(expected.worst) + figureOf(expected.best)) / 2,
      low: Math.min(quantile(worst, LOW), quantile(best, LOW)),
      high: Math.max(quantile(worst, HIGH), quantile(best, HIGH)),
    }
  }
  const gains = drawn.map(({ worst }) => worst.recovered)
  const mean = meanOf(gains)
  const deviation = Math.sqrt(meanOf(gains.map((gain) => (gain - mean) ** 2)))
  return {
    recovered: estimate(({ recovered }) => recovered),
    retries: estimate(({ retries }) => retries),
    segments: group.meanSegments === null ? null : estimate(({ segments }) => segments),
    mean,
    deviation,
    skewness: deviation === 0 ? 0 : meanOf(gains.map((gain) => ((gain - mean) / deviation) ** 3)),
  }
}

interface Differences {
  /** The other policy by its low bound, the one in force by its high bound. */
  readonly worst: Outcome
  readonly best: Outcome
}

function differencesOf(group: Group, plans: Plans, others: Plans, odds: Odds): Differences {
  const outcome = (of: Plans, bound: Bound): Outcome => outcomeOf(group, of, bound, odds)
  return {
    worst: difference(outcome(others, 'low'), outcome(plans, 'high')),
    best: difference(outcome(others, 'high'), outcome(plans, 'low')),
  }
}

const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length
