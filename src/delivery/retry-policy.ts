// The retry policy in force: rules by error code, overrides from the user, and the delay before each retry.
// Whether a message is retried at all (limits, deadline) is decided in decide.ts.
import type { z as Z } from 'zod'
import { ConfigError } from '../errors.ts'
import { loadZod } from '../zod.ts'
import { ERROR_CODES, type RetryRule, type Rule, UNKNOWN_CODE } from './error-codes.ts'

export interface RetryPolicy {
  readonly rules: ReadonlyMap<number, Rule>
  /** For codes without a rule of their own, and for failures without a code. */
  readonly unknownCode: Rule
  /** Up to this share of the delay is added at random, so that messages that failed together spread. 0 turns it off. */
  readonly jitter: number
  /** No delay is longer, jitter included. */
  readonly maxDelaySeconds: number
  /** Multiplies every delay, for demos and tests. */
  readonly delayScale: number
}

const MAX_RETRIES = 10
const WEEK_SECONDS = 7 * 24 * 3600

const RULE = `must be "stop" or {"retries": 1 to ${MAX_RETRIES}, "baseDelaySeconds": above 0, at most ${WEEK_SECONDS}}`

const CODE = /^[1-9]\d{3,5}$/

function createSchema() {
  const { z } = loadZod()
  const rule = z.union(
    [
      z.literal('stop'),
      z.strictObject({
        retries: z.int().min(1).max(MAX_RETRIES),
        baseDelaySeconds: z.number().positive().max(WEEK_SECONDS),
      }),
    ],
    RULE,
  )
  return z.strictObject({
    default: rule.optional(),
    codes: z.record(z.string().regex(CODE, 'is not an error code such as 30003'), rule).optional(),
    jitter: z.number().min(0).max(1).optional(),
    maxDelaySeconds: z.number().positive().max(WEEK_SECONDS).optional(),
  })
}

type Schema = ReturnType<typeof createSchema>

/**
 * What a user may change: single codes, the rule of unknown codes, jitter (0..1) and the longest delay
 * (seconds). A rule is `"stop"` or `{ retries: 1..10, baseDelaySeconds }`.
 */
export type RetryPolicyOverrides = Z.input<Schema>

const EXAMPLE = '{"codes": {"30003": {"retries": 3, "baseDelaySeconds": 600}, "30004": "stop"}}'

/**
 * The default policy with the user's overrides.
 *
 * @throws ConfigError with every fault of the overrides by its path, and an example
 */
export function createRetryPolicy(overrides: unknown = {}, delayScale = 1): RetryPolicy {
  const parsed = createSchema().safeParse(overrides)
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => {
      // zod says no more of a wrong key than that it is one; the schema's own words are inside.
      const { message } = (issue.code === 'invalid_key' ? issue.issues[0] : undefined) ?? issue
      return `${issue.path.join('.') || 'policy'}: ${message}`
    })
    throw new ConfigError(`The retry policy is not valid:\n  ${faults.join('\n  ')}\nExample: ${EXAMPLE}`)
  }
  const { codes = {}, jitter = 0.1, maxDelaySeconds = 6 * 3600 } = parsed.data
  const rules = new Map<number, Rule>()
  for (const [code, { rule }] of Object.entries(ERROR_CODES)) rules.set(Number(code), rule)
  for (const [code, rule] of Object.entries(codes)) rules.set(Number(code), toRule(rule))
  const unknownCode = parsed.data.default === undefined ? UNKNOWN_CODE.rule : toRule(parsed.data.default)
  return { rules, unknownCode, jitter, maxDelaySeconds, delayScale }
}

function toRule(input: NonNullable<Z.output<Schema>['default']>): Rule {
  return input === 'stop' ? { action: 'stop' } : { action: 'retry', ...input }
}

export function ruleFor(policy: RetryPolicy, code: number | null): Rule {
  return (code === null ? undefined : policy.rules.get(code)) ?? policy.unknownCode
}

/** The largest number of retries that any rule allows: what a new row gets as its `max_retries`. */
export function mostRetries(policy: RetryPolicy): number {
  const retries = [...policy.rules.values(), policy.unknownCode].map((rule) =>
    rule.action === 'retry' ? rule.retries : 0,
  )
  return Math.max(...retries)
}

/**
 * Seconds before retry `retryNumber` (from 1): `base * 2^(n-1)`, plus jitter, at most `maxDelaySeconds`.
 *
 * @param random in [0, 1): drawn by the caller, so that this stays a pure function
 */
export function retryDelaySeconds(
  policy: RetryPolicy,
  rule: RetryRule,
  retryNumber: number,
  random: number,
): number {
  return grow(policy, rule.baseDelaySeconds, retryNumber, random)
}

const POSTPONED_BASE_SECONDS = 5
const POSTPONED_MAX_SECONDS = 300

/**
 * Seconds before an attempt that Twilio did not process (429, no connection) is tried again. Such attempts
 * use up no retry and are not bounded in number, so the delay grows to five minutes. Twilio's own
 * Retry-After is honoured as it stands (unscaled), up to `maxDelaySeconds`.
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

/** The delays in seconds of every retry that the rule allows, without jitter; empty for a stop. */
export function scheduleOf(policy: RetryPolicy, rule: Rule): number[] {
  if (rule.action === 'stop') return []
  return Array.from({ length: rule.retries }, (_, i) => retryDelaySeconds(policy, rule, i + 1, 0))
}
