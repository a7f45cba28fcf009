// Advises changes of a policy that its history supports, by code: stop, fewer retries, longer delays, more retries.
//
// Many codes and rules are compared, so some would look better by chance. Each comparison must hold at the level of 5 %
// divided by the number of comparisons (Bonferroni).
import { ERROR_CODES } from '../delivery/error-codes.ts'
import { isOverridable } from '../delivery/policy-overrides.ts'
import { isAccountFailure, type RetryPolicy, ruleFor } from '../delivery/retry-policy.ts'
import type { Rule } from '../delivery/retry-rule.ts'
import { type Candidate, candidatesFor, type ChangeKind } from './candidate-rules.ts'
import { type Comparison, compareOutcomes, type Gains, type Steps } from './compare-outcomes.ts'
import { Plans } from './flow.ts'
import type { History } from './history.ts'
import type { Plan } from './plan.ts'
import { groupsOf, type Group } from './replay.ts'
import { Trials } from './trials.ts'
import { wilsonInterval } from './wilson.ts'

/** A retry that delivers less than this share of its messages is not worth its cost: 50 segments per recovered message. */
export const WORTHWHILE_SHARE = 0.02

/** A change of a rule, and what it adds for the same messages. */
export interface Advice extends Gains {
  readonly code: number
  readonly kind: ChangeKind
  readonly from: Rule
  readonly to: Rule
}

export interface AdvisedPolicy {
  readonly changes: readonly Advice[]
  /** The codes with trials, for which no change is advised. */
  readonly unchanged: readonly number[]
  /** The number of rules that were compared with the rule in force. */
  readonly comparisons: number
}

/** Changes for the policy under which the history was made. */
export function advise(history: History, policy: RetryPolicy): AdvisedPolicy {
  const steps = adviseInSteps(history, policy)
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
  }
}

/** The same in short steps, between which the caller can do other work. The advice is the return value. */
export function* adviseInSteps(history: History, policy: RetryPolicy): Steps<AdvisedPolicy> {
  const trials = new Trials(history)
  yield
  const groups = groupsOf(history, policy)
  const cases: Case[] = []
  for (const group of groups) {
    yield
    const one = caseOf(group, policy, trials)
    if (one !== null) cases.push(one)
  }
  const comparisons = cases.reduce(
    (sum, { code, candidates }) => sum + candidates.length + shorterRules(ruleFor(policy, code)),
    0,
  )
  const changes: Advice[] = []
  const unchanged: number[] = []
  for (const one of cases) {
    const change = yield* adviceFor(one, policy, trials, comparisons)
    if (change === null) unchanged.push(one.code)
    else changes.push(change)
  }
  return { changes, unchanged, comparisons }
}

interface Case {
  readonly code: number
  readonly group: Group
  readonly candidates: readonly Candidate[]
}

/** With fewer retries, and none. */
const shorterRules = (rule: Rule): number => (rule.action === 'retry' ? rule.retries : 0)

/**
 * Null if the history says nothing of the code's retries, or if a policy file cannot have its changed rule: it has rules for
 * error codes only, and none that counts towards a hold of the account.
 */
function caseOf(group: Group, policy: RetryPolicy, trials: Trials): Case | null {
  const { code } = group
  if (code === null || !isOverridable(code) || isAccountFailure(ruleFor(policy, code))) return null
  const known = trials.of(code, 0)
  if (known.schedules.length === 0) return null
  // The table stops a code for safety: a retry would do harm, or cannot succeed.
  const isSafetyStop = ERROR_CODES[code]?.rule.action === 'stop'
  return { code, group, candidates: isSafetyStop ? [] : candidatesFor(policy, code, known) }
}

function* adviceFor(
  { code, group, candidates }: Case,
  policy: RetryPolicy,
  trials: Trials,
  comparisons: number,
): Steps<Advice | null> {
  const from = ruleFor(policy, code)
  const plans = new Plans(policy, policy, trials)
  const plan = plans.of(code, 0)
  if (isUnknown(plan)) return null
  let best: { readonly change: Advice; readonly sureGain: number } | null = null
  for (const { kind, rule } of candidates) {
    const others = new Plans(withRule(policy, code, rule), policy, trials)
    if (isUnknown(others.of(code, 0))) continue
    const compared = yield* compareOutcomes(group, plans, others)
    const gain = sureGain(compared, comparisons)
    if (compared.recovered.estimate < compared.retries.estimate * WORTHWHILE_SHARE) continue
    if (gain > (best?.sureGain ?? 0))
      best = { change: { code, kind, from, to: rule, ...gainsOf(compared) }, sureGain: gain }
  }
  if (best !== null) return best.change
  const shorter = shorterRule(from, plan, comparisons)
  if (shorter === null) return null
  const kind = shorter.action === 'stop' ? 'stop' : 'fewer'
  const others = new Plans(withRule(policy, code, shorter), policy, trials)
  const compared = yield* compareOutcomes(group, plans, others)
  return { code, kind, from, to: shorter, ...gainsOf(compared) }
}

const isUnknown = ({ retries }: Plan): boolean => retries.some(({ bounds }) => bounds === null)

function withRule(policy: RetryPolicy, code: number, rule: Rule): RetryPolicy {
  return { ...policy, rules: new Map(policy.rules).set(code, rule) }
}

/** The rule without its last retries, if these surely deliver too few; null if all may be worthwhile. */
function shorterRule(rule: Rule, { retries }: Plan, comparisons: number): Rule | null {
  if (rule.action !== 'retry') return null
  let kept = retries.length
  let [successes, trials] = [0, 0]
  for (let place = retries.length - 1; place >= 0; place -= 1) {
    const bounds = retries[place]?.bounds ?? null
    // Between two observed times, the retry may deliver as much as the later one.
    if (bounds === null || bounds.low !== bounds.high) break
    const counts = bounds.low.at(-1)?.counts ?? NO_TRIALS
    if (counts.successes > counts.trials * WORTHWHILE_SHARE) break
    successes += counts.successes
    trials += counts.trials
    const { high } = wilsonInterval(successes, trials, 1 - 2 * levelOf(comparisons))
    if (high < WORTHWHILE_SHARE) kept = place
  }
  if (kept === retries.length) return null
  return kept === 0 ? { action: 'stop' } : { ...rule, retries: kept }
}

const NO_TRIALS = { successes: 0, trials: 0 }

/** One-sided. */
const levelOf = (comparisons: number): number => 0.05 / comparisons

const gainsOf = ({ recovered, retries, segments }: Comparison): Gains => ({ recovered, retries, segments })

/**
 * The gain that the other rule has at the level of a single comparison. `z` is an upper bound of the normal quantile: P(Z > z)
 * is at most exp(-z²/2) / 2. Few trials give a skewed distribution, which Cornish and Fisher's expansion corrects for.
 */
function sureGain({ mean, deviation, skewness }: Comparison, comparisons: number): number {
  const z = Math.sqrt(-2 * Math.log(2 * levelOf(comparisons)))
  return mean - (z - (Math.min(skewness, 0) * (z ** 2 - 1)) / 6) * deviation
}
