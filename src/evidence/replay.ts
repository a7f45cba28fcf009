// Replays a history with another policy: how many of the same messages it would have retried, recovered and lost, by the code
// of their first failure, beside what happened.
import type { RetryPolicy } from '../delivery/retry-policy.ts'
import { type Bound, type Entry, entriesOf, type Flow, flow, type Odds, Plans } from './flow.ts'
import type { Code, History, Path } from './history.ts'
import type { Counts } from './isotonic.ts'
import { createRandom, drawBinomial, drawShares, type Random } from './random-draws.ts'
import { type Trial, Trials } from './trials.ts'
import type { Interval } from './wilson.ts'

/** An estimate with its 90 % interval. */
export interface Estimate {
  readonly estimate: number
  readonly low: number
  readonly high: number
}

/** What happened to the messages. */
export interface Happened {
  readonly retried: number
  readonly retries: number
  readonly recovered: number
  readonly lost: number
  /** In progress, canceled, or never reported. */
  readonly open: number
  /** Of the retries whose segments are known. */
  readonly segments: number
  readonly unmeasuredRetries: number
}

export interface Replayed {
  readonly retried: Estimate
  readonly retries: Estimate
  readonly recovered: Estimate
  readonly lost: Estimate
  /** Messages that reach a retry whose result the history does not show. They count neither as recovered nor as lost. */
  readonly unknown: Estimate
  /** Null if no segments are known. */
  readonly segments: Estimate | null
  /** Null if no segments are known, or if the retries may recover nothing. */
  readonly segmentsPerRecovered: Estimate | null
}

export interface ReplayRow {
  readonly messages: number
  readonly happened: Happened
  readonly replayed: Replayed
}

export interface Replay {
  /** By the code of the first failure, the most frequent first. */
  readonly codes: readonly (ReplayRow & { readonly code: Code })[]
  readonly total: ReplayRow
}

/** Enough for intervals that a second seed moves by less than a twentieth of their width. */
const DRAWS = 1000

/** The ends of a 90 % interval. */
export const LOW = 0.05
export const HIGH = 0.95

/**
 * An interval covers two uncertainties: few trials measure a share badly, and chance decides which messages succeed.
 *
 * @param inForce the policy under which the history was made
 */
export function replay(history: History, policy: RetryPolicy, inForce: RetryPolicy): Replay {
  const plans = new Plans(policy, inForce, new Trials(history))
  const groups = groupsOf(history, inForce)
  const outcomesOf = (group: Group, odds: Odds): Outcome[] =>
    BOUNDS.map((bound) => outcomeOf(group, plans, bound, odds))
  const expected = groups.map((group) => outcomesOf(group, EXPECTED).map((one) => inWholeRetries(one, group)))
  const drawn = Array.from({ length: DRAWS }, (_, seed) => {
    const odds = drawnOdds(createRandom(seed))
    return groups.map((group) => outcomesOf(group, odds))
  })
  const codes = groups.map(({ code, messages, happened, meanSegments }, i) => ({
    code,
    messages,
    happened,
    replayed: replayedOf(
      expected[i] ?? [],
      drawn.map((outcomes) => outcomes[i] ?? []),
      meanSegments !== null,
    ),
  }))
  const isMeasured = groups.some(({ meanSegments }) => meanSegments !== null)
  const total = {
    messages: groups.reduce((sum, { messages }) => sum + messages, 0),
    happened: sumOfHappened(groups.map(({ happened }) => happened)),
    replayed: replayedOf(sumByBound(expected), drawn.map(sumByBound), isMeasured),
  }
  return { codes, total }
}

export const BOUNDS: readonly Bound[] = ['low', 'high']

export const EXPECTED: Odds = {
  shareOf: ({ counts }) => counts.successes / counts.trials,
  split: (messages, share) => messages * share,
}

/** The shares and successes of one possible period. A pool of trials has one range of shares in it. */
export function drawnOdds(random: Random): Odds {
  const shares = new Map<Counts, Interval>()
  const shareOf = ({ counts }: Trial, bound: Bound): number => {
    const { successes, trials } = counts
    const drawn = shares.get(counts) ?? drawShares(successes, trials - successes, random)
    shares.set(counts, drawn)
    return drawn[bound]
  }
  return { shareOf, split: (messages, share) => drawBinomial(messages, share, random) }
}

/** The messages whose first failure had one code. */
export interface Group {
  readonly code: Code
  readonly entries: readonly Entry[]
  readonly messages: number
  readonly happened: Happened
  /** Per attempt; null if it is not known. */
  readonly meanSegments: number | null
}

export function groupsOf(history: History, inForce: RetryPolicy): Group[] {
  const paths = Map.groupBy(history.paths, ({ codes }) => codes[0] ?? null)
  const entries = Map.groupBy(entriesOf(history, inForce), ({ code }) => code)
  return [...paths]
    .map(([code, own]) => {
      const measured = own.reduce((sum, path) => sum + path.measured, 0)
      const segments = own.reduce((sum, path) => sum + path.segments, 0)
      return {
        code,
        entries: entries.get(code) ?? [],
        messages: own.reduce((sum, path) => sum + path.messages, 0),
        happened: sumOfHappened(own.map(happenedTo)),
        meanSegments: measured === 0 ? null : segments / measured,
      }
    })
    .sort((one, other) => other.messages - one.messages)
}

function happenedTo({ retries, end, messages, measured, segments }: Path): Happened {
  return {
    retried: retries.length > 0 ? messages : 0,
    retries: retries.length * messages,
    recovered: end === 'delivered' ? messages : 0,
    lost: end === 'failed' ? messages : 0,
    open: end === 'open' ? messages : 0,
    segments: retries.length * segments,
    unmeasuredRetries: retries.length * (messages - measured),
  }
}

export interface Outcome extends Flow {
  readonly segments: number
  readonly unknownSegments: number
}

export function outcomeOf({ entries, meanSegments }: Group, plans: Plans, bound: Bound, odds: Odds): Outcome {
  const flows = entries.map((entry) => flow(entry, plans, bound, odds))
  const sum = sumOf(flows, FLOW_KEYS)
  const mean = meanSegments ?? 0
  return { ...sum, segments: sum.retries * mean, unknownSegments: sum.unknownRetries * mean }
}

/** The expected retries can be a fraction. The drawn ones are whole, and so are the segments between which they lie. */
function inWholeRetries(outcome: Outcome, { meanSegments }: Group): Outcome {
  return { ...outcome, segments: Math.round(outcome.retries) * (meanSegments ?? 0) }
}

const FLOW_KEYS = ['retried', 'retries', 'recovered', 'lost', 'unknown', 'unknownRetries'] as const
const OUTCOME_KEYS = [...FLOW_KEYS, 'segments', 'unknownSegments'] as const
const HAPPENED_KEYS = [
  ...['retried', 'retries', 'recovered', 'lost', 'open', 'segments', 'unmeasuredRetries'],
] as readonly (keyof Happened)[]

function sumOf<Key extends string>(
  all: readonly Readonly<Record<Key, number>>[],
  keys: readonly Key[],
): Record<Key, number> {
  const sums = keys.map((key) => [key, all.reduce((sum, one) => sum + one[key], 0)] as const)
  return Object.fromEntries(sums) as Record<Key, number>
}

export function difference(one: Outcome, other: Outcome): Outcome {
  const differences = OUTCOME_KEYS.map((key) => [key, one[key] - other[key]] as const)
  return Object.fromEntries(differences) as Record<(typeof OUTCOME_KEYS)[number], number>
}

const sumOfHappened = (all: readonly Happened[]): Happened => sumOf(all, HAPPENED_KEYS)

const sumByBound = (outcomes: readonly (readonly Outcome[])[]): Outcome[] =>
  BOUNDS.map((_, i) =>
    sumOf(
      outcomes.flatMap((ofGroup) => ofGroup[i] ?? []),
      OUTCOME_KEYS,
    ),
  )

/** @param expected and each of `drawn`: the outcome by the low bound, and by the high one */
function replayedOf(
  expected: readonly Outcome[],
  drawn: readonly (readonly Outcome[])[],
  isMeasured: boolean,
): Replayed {
  const estimate = (figureOf: (outcome: Outcome) => number, most = figureOf): Estimate => {
    const ends = BOUNDS.map((_, i) => {
      const ofBound = drawn.flatMap((outcomes) => outcomes[i] ?? [])
      return [quantile(ofBound.map(figureOf), LOW), quantile(ofBound.map(most), HIGH)] as const
    })
    return {
      estimate: expected.reduce((sum, outcome) => sum + figureOf(outcome), 0) / Math.max(expected.length, 1),
      low: Math.min(...ends.map(([low]) => low)),
      high: Math.max(...ends.map(([, high]) => high)),
    }
  }
  /** Of messages or retries. */
  const whole = (figureOf: (outcome: Outcome) => number, most = figureOf): Estimate => {
    const { estimate: expectedFigure, ...interval } = estimate(figureOf, most)
    return { estimate: Math.round(expectedFigure), ...interval }
  }
  const recovered = whole((outcome) => outcome.recovered)
  const recovers = recovered.low > 0 && expected.every((outcome) => outcome.recovered > 0)
  return {
    retried: whole(({ retried }) => retried),
    // A message after an unknown retry may have further ones.
    retries: whole(
      ({ retries }) => retries,
      ({ retries, unknownRetries }) => retries + unknownRetries,
    ),
    recovered,
    lost: whole(({ lost }) => lost),
    unknown: whole(({ unknown }) => unknown),
    segments: isMeasured
      ? estimate(
          ({ segments }) => segments,
          ({ segments, unknownSegments }) => segments + unknownSegments,
        )
      : null,
    segmentsPerRecovered:
      isMeasured && recovers
        ? estimate(
            (outcome) => outcome.segments / outcome.recovered,
            (outcome) => (outcome.segments + outcome.unknownSegments) / outcome.recovered,
          )
        : null,
  }
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted[Math.round(share * (sorted.length - 1))] ?? 0
}
