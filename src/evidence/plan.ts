// What a policy plans after a failure, and the trials that show how it would end.
//
// Retries at the same times as in the history are known from its own trials. For other times, two assumptions give bounds: a
// retry at a later time does not succeed less often, and a further retry does not hurt. So a schedule succeeds at least
// as often as every observed schedule with earlier or fewer retries, and at most as often as every one with later or
// more. Without such a schedule near its times, it is not known.
import { retryDelaySeconds, type RetryPolicy, ruleFor } from '../delivery/retry-policy.ts'
import type { Rule, RetryRule } from '../delivery/retry-rule.ts'
import type { Code } from './history.ts'
import { type CodeTrials, MIN_TRIALS, type Schedule, type Trials } from './trials.ts'

/** One planned retry. */
export interface PlannedRetry {
  readonly waitSeconds: number
  /** The waits of a rule with a time of day, which depend on the time of the failure; else `waitSeconds`. */
  readonly shortestWaitSeconds: number
  readonly longestWaitSeconds: number
  /** Observed schedules that bound the share delivered by this retry and those before it; null: it is not known. */
  readonly bounds: { readonly low: Schedule; readonly high: Schedule } | null
}

/** The planned retries of a run, up to the first one whose result is not known. */
export interface Plan {
  readonly retries: readonly PlannedRetry[]
  /** The retries that the rule allows, known or not. */
  readonly allowed: number
  readonly reportSeconds: number
  readonly nextCodes: CodeTrials['nextCodes']
}

/** @param inForce the policy under which the history was made */
export function planOf(
  policy: RetryPolicy,
  inForce: RetryPolicy,
  trials: Trials,
  code: Code,
  retriesBefore: number,
): Plan {
  const rule = ruleFor(policy, code)
  const known = trials.of(code, retriesBefore)
  const { reportSeconds, nextCodes } = known
  if (rule.action === 'stop') return { retries: [], allowed: 0, reportSeconds, nextCodes }
  // A failure of the account uses up no retry. The history leaves it out.
  if (rule.action === 'hold') return { retries: [unknown(0)], allowed: 1, reportSeconds, nextCodes }
  const allowed = Math.max(rule.retries - retriesBefore, 0)
  const retries = delaysOf(policy, rule, retriesBefore, allowed)
  const planned =
    retries === null
      ? plannedByPlace(rule, ruleFor(inForce, code), known, allowed)
      : plannedByTime(retries, known)
  return { retries: planned, allowed, reportSeconds, nextCodes }
}

const unknown = (waitSeconds: number): PlannedRetry => after(waitSeconds, null)

function after(waitSeconds: number, bounds: PlannedRetry['bounds']): PlannedRetry {
  return { waitSeconds, shortestWaitSeconds: waitSeconds, longestWaitSeconds: waitSeconds, bounds }
}

/** The mean delays; null for a rule whose delay depends on the time of the failure. */
function delaysOf(
  policy: RetryPolicy,
  rule: RetryRule,
  retriesBefore: number,
  allowed: number,
): number[] | null {
  if ('after' in rule || 'when' in rule) return null
  const now = new Date(0)
  return Array.from({ length: allowed }, (_, i) =>
    retryDelaySeconds(policy, rule, retriesBefore + i + 1, now, 0.5),
  )
}

/** If the times of day are those of the rule in force, the history has such retries, by their place. */
function plannedByPlace(rule: RetryRule, before: Rule, known: CodeTrials, allowed: number): PlannedRetry[] {
  const planned: PlannedRetry[] = []
  for (let place = 0; place < allowed; place += 1) {
    const schedule = known.byPlace.slice(0, place + 1)
    const isKnown =
      waitsAlike(rule, before) &&
      schedule.length === place + 1 &&
      schedule.every(({ counts }) => counts.trials >= MIN_TRIALS)
    const last = schedule[place]
    if (!isKnown || last === undefined) return [...planned, unknown(last?.waitSeconds ?? 0)]
    const { waitSeconds, shortestWaitSeconds, longestWaitSeconds } = last
    const bounds = { low: schedule, high: schedule }
    planned.push({ waitSeconds, shortestWaitSeconds, longestWaitSeconds, bounds })
  }
  return planned
}

function waitsAlike(one: RetryRule, other: Rule): boolean {
  if ('when' in one) return 'when' in other
  return 'after' in one && 'after' in other && one.after === other.after && one.timeZone === other.timeZone
}

function plannedByTime(delays: readonly number[], known: CodeTrials): PlannedRetry[] {
  const planned: PlannedRetry[] = []
  const times: number[] = []
  for (const [i, waitSeconds] of delays.entries()) {
    times.push((times.at(-1) ?? 0) + waitSeconds + (i === 0 ? 0 : known.reportSeconds))
    const bounds = boundsOf(times, known.schedules)
    planned.push(after(waitSeconds, bounds))
    if (bounds === null) break
  }
  return planned
}

/** Times within this factor are the same. Wider, and the share at another time would be taken for it. */
const SAME = 1.1

/** A bound may be taken from a retry that was later by this factor at most. */
const NEAR = 4

function boundsOf(times: readonly number[], schedules: readonly Schedule[]): PlannedRetry['bounds'] {
  const same = closest(
    schedules.filter((schedule) => isSame(schedule, times)),
    (schedule) => -distance(schedule, times),
  )
  if (same !== null) return { low: same, high: same }
  const last = times.at(-1) ?? 0
  const high = closest(
    schedules.filter(
      (schedule) => isAtMost(times, timesOf(schedule)) && (timesOf(schedule).at(-1) ?? 0) <= last * NEAR,
    ),
    (schedule) => -shareDelivered(schedule),
  )
  if (high === null) return null
  const low = closest(
    schedules.filter((schedule) => isAtMost(timesOf(schedule), times)),
    shareDelivered,
  )
  return { low: low ?? [], high }
}

const timesOf = (schedule: Schedule): number[] => schedule.map(({ elapsedSeconds }) => elapsedSeconds)

function isSame(schedule: Schedule, times: readonly number[]): boolean {
  return (
    schedule.length === times.length &&
    schedule.every(({ elapsedSeconds }, i) => isWithin(elapsedSeconds, times[i] ?? 0))
  )
}

const isWithin = (one: number, other: number): boolean => one <= other * SAME && other <= one * SAME

function distance(schedule: Schedule, times: readonly number[]): number {
  return schedule.reduce(
    (sum, { elapsedSeconds }, i) => sum + Math.abs(Math.log(elapsedSeconds / (times[i] ?? 1))),
    0,
  )
}

/** Whether each retry of `one` has a retry of `other` of its own that is not earlier. */
function isAtMost(one: readonly number[], other: readonly number[]): boolean {
  return (
    one.length <= other.length && one.every((_, i) => (one.at(-1 - i) ?? 0) <= (other.at(-1 - i) ?? 0) * SAME)
  )
}

function shareDelivered(schedule: Schedule): number {
  return 1 - schedule.reduce((left, { counts }) => left * (1 - counts.successes / counts.trials), 1)
}

function closest(schedules: readonly Schedule[], score: (schedule: Schedule) => number): Schedule | null {
  let best: { readonly schedule: Schedule; readonly score: number } | null = null
  for (const schedule of schedules) {
    const own = score(schedule)
    if (best === null || own > best.score) best = { schedule, score: own }
  }
  return best?.schedule ?? null
}
