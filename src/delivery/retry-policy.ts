// The retry policy: rules by error code, the user's overrides, and the delay before each retry. Whether a message is
// retried at all (limits, deadline) is decided in apply-report.ts.
import { ERROR_CODES, UNKNOWN_CODE } from './error-codes.ts'
import { readOverrides, type RuleOverride } from './policy-overrides.ts'
import type { BackOffRule, RollingRule, Rule, TimedRule } from './retry-rule.ts'
import { nextTimeOnClock } from './time-on-clock.ts'

export interface RetryPolicy {
  readonly rules: ReadonlyMap<number, Rule>
  /** For codes without a rule of their own, and for failures without a code. */
  readonly unknownCode: Rule
  /**
   * Up to this fraction of the delay is added at random, to spread messages that failed together. For a rule with a time
   * of day it is a fraction of an hour. 0 turns it off.
   */
  readonly jitter: number
  /** The maximum back-off, jitter included. It does not shorten rules with a time of day or a period. */
  readonly maxDelaySeconds: number
  /** Multiplies every delay, for demos and tests. */
  readonly delayScale: number
}

/**
 * The default policy with the user's overrides.
 *
 * @throws ConfigError with every fault of the overrides by its path, and an example
 */
export function createRetryPolicy(overrides: unknown = {}, delayScale = 1): RetryPolicy {
  const { default: unknown, codes = {}, jitter = 0.1, maxDelaySeconds = 6 * 3600 } = readOverrides(overrides)
  const rules = new Map<number, Rule>()
  for (const [code, { rule }] of Object.entries(ERROR_CODES)) rules.set(Number(code), rule)
  for (const [code, rule] of Object.entries(codes)) rules.set(Number(code), toRule(rule))
  const unknownCode = unknown === undefined ? UNKNOWN_CODE.rule : toRule(unknown)
  return { rules, unknownCode, jitter, maxDelaySeconds, delayScale }
}

function toRule(override: RuleOverride): Rule {
  return typeof override === 'string' ? { action: override } : { action: 'retry', ...override }
}

export function ruleFor(policy: RetryPolicy, code: number | null): Rule {
  return (code === null ? undefined : policy.rules.get(code)) ?? policy.unknownCode
}

/** Whether a failure by this rule is one of the account, which counts towards a hold. */
export function isAccountFailure(rule: Rule): boolean {
  return rule.action === 'hold' || ('countsTowardsHold' in rule && rule.countsTowardsHold === true)
}

/** The largest number of retries that any rule allows. New rows get it as their `max_retries`. */
export function maxRetriesOf(policy: RetryPolicy): number {
  let max = retriesOf(policy.unknownCode)
  for (const rule of policy.rules.values()) max = Math.max(max, retriesOf(rule))
  return max
}

const retriesOf = (rule: Rule): number => (rule.action === 'retry' ? rule.retries : 0)

/** Messages that wait for the same time of day start within this time after it, times the jitter. */
export const CLOCK_SPREAD_SECONDS = 3600

/**
 * Seconds before retry `retryNumber` (from 1). Back-off: `base * 2^(n-1)` plus jitter, at most `maxDelaySeconds`. Rules with
 * a time of day or a period are never shortened, because an earlier retry is known to fail. A rule that waits for the send
 * window has no delay here: apply-report.ts finds its opening.
 *
 * @param random in [0, 1), passed in to keep this function pure
 */
export function retryDelaySeconds(
  policy: RetryPolicy,
  rule: TimedRule,
  retryNumber: number,
  now: Date,
  random: number,
): number {
  if ('after' in rule) {
    const wait = (nextTimeOnClock(now, rule.after, rule.timeZone).getTime() - now.getTime()) / 1000
    return (wait + CLOCK_SPREAD_SECONDS * policy.jitter * random) * policy.delayScale
  }
  return delaySeconds(policy, rule, retryNumber, random)
}

function delaySeconds(
  policy: RetryPolicy,
  rule: BackOffRule | RollingRule,
  retryNumber: number,
  random: number,
): number {
  if ('periodSeconds' in rule) return rule.periodSeconds * (1 + policy.jitter * random) * policy.delayScale
  return grow(policy, rule.baseDelaySeconds, retryNumber, random)
}

const HOLD_BASE_SECONDS = 120
const HOLD_MAX_SECONDS = 3600

/**
 * Seconds before an attempt that failed by a hold rule is made again: two minutes, doubled up to an hour. A hold may delay
 * it further.
 *
 * @param failures how many attempts in a row failed so, from 1
 */
export function holdDelaySeconds(policy: RetryPolicy, failures: number, random: number): number {
  return Math.min(grow(policy, HOLD_BASE_SECONDS, failures, random), HOLD_MAX_SECONDS * policy.delayScale)
}

const POSTPONED_BASE_SECONDS = 5
const POSTPONED_MAX_SECONDS = 300

/**
 * Seconds before an attempt that Twilio did not process (429, no connection) is made again. This uses up no retry and has
 * no limit, so the delay grows to five minutes. Twilio's Retry-After is honoured unscaled, up to `maxDelaySeconds`.
 */
export function postponedDelaySeconds(
  policy: RetryPolicy,
  postponements: number,
  retryAfterSeconds: number | null,
  random: number,
): number {
  const own = Math.min(
    grow(policy, POSTPONED_BASE_SECONDS, postponements, random),
    POSTPONED_MAX_SECONDS * policy.delayScale,
  )
  return retryAfterSeconds === null ? own : Math.min(Math.max(retryAfterSeconds, own), policy.maxDelaySeconds)
}

function grow(policy: RetryPolicy, baseSeconds: number, n: number, random: number): number {
  const delaySeconds = baseSeconds * 2 ** (n - 1) * (1 + policy.jitter * random)
  return Math.min(delaySeconds, policy.maxDelaySeconds) * policy.delayScale
}

/**
 * The delay in seconds before each retry that the rule allows, without jitter; empty for a stop. Null for a rule with a
 * time of day, a send window or a hold, whose delay depends on more than the rule.
 */
export function scheduleOf(policy: RetryPolicy, rule: Rule): number[] | null {
  if (rule.action === 'stop') return []
  if (rule.action === 'hold' || 'after' in rule || 'when' in rule) return null
  return Array.from({ length: rule.retries }, (_, i) => delaySeconds(policy, rule, i + 1, 0))
}

/**
 * The schedule for people: `5 min, 10 min`, `00:00 America/Los_Angeles`, `next send window` or `2 min to 1 h`; empty for a
 * stop.
 */
export function formatSchedule(
  policy: RetryPolicy,
  rule: Rule,
  formatDelay: (seconds: number) => string,
): string {
  if (rule.action === 'hold')
    return [HOLD_BASE_SECONDS, HOLD_MAX_SECONDS]
      .map((seconds) => formatDelay(seconds * policy.delayScale))
      .join(' to ')
  if ('after' in rule) return `${rule.after} ${rule.timeZone}`
  if ('when' in rule) return 'next send window'
  return (scheduleOf(policy, rule) ?? []).map(formatDelay).join(', ')
}
