// The rules that could replace the rule of a code: other numbers of retries, and delays that the history has seen.
import { MAX_DELAY_SECONDS } from '../delivery/policy-overrides.ts'
import { maxRetriesOf, type RetryPolicy, ruleFor } from '../delivery/retry-policy.ts'
import type { BackOffRule, RetryRule, RollingRule, Rule } from '../delivery/retry-rule.ts'
import type { CodeTrials } from './trials.ts'

export type ChangeKind = 'stop' | 'fewer' | 'later' | 'more'

export interface Candidate {
  readonly kind: ChangeKind
  readonly rule: RetryRule
}

/** A delay that is longer by less than this factor is no other delay. */
const LATER = 1.25

/** Rules with longer delays or more retries. Never more retries than the policy gives to any code. */
export function candidatesFor(policy: RetryPolicy, code: number, trials: CodeTrials): Candidate[] {
  const rule = ruleFor(policy, code)
  if (rule.action === 'hold' || 'after' in rule || 'when' in rule) return []
  const first = rule.action === 'stop' ? 0 : firstDelay(rule)
  const delays = trials.schedules
    .filter(({ length }) => length === 1)
    .map(([trial]) => baseOf(policy, trial?.elapsedSeconds ?? 0))
  const counts = Array.from({ length: maxRetriesOf(policy) }, (_, i) => i + 1)
  const later = [...new Set(delays)]
    .filter((delay) => delay > first * LATER && delay <= MAX_DELAY_SECONDS)
    .flatMap((delay) =>
      counts.map((retries) => ({ kind: kindOf(rule), rule: ruleWith(policy, retries, delay) })),
    )
  if (rule.action === 'stop') return later
  const more = counts
    .filter((retries) => retries > rule.retries)
    .map((retries): Candidate => ({ kind: 'more', rule: { ...rule, retries } }))
  return [...more, ...later]
}

const kindOf = (rule: Rule): ChangeKind => (rule.action === 'stop' ? 'more' : 'later')

const firstDelay = (rule: BackOffRule | RollingRule): number =>
  'periodSeconds' in rule ? rule.periodSeconds : rule.baseDelaySeconds

/** The delay of a rule, with two digits, whose mean with jitter is this time. */
function baseOf({ jitter, delayScale }: RetryPolicy, seconds: number): number {
  return Number((seconds / (1 + jitter / 2) / delayScale).toPrecision(2))
}

function ruleWith({ maxDelaySeconds }: RetryPolicy, retries: number, delay: number): RetryRule {
  return delay > maxDelaySeconds
    ? { action: 'retry', retries, periodSeconds: delay }
    : { action: 'retry', retries, baseDelaySeconds: delay }
}
