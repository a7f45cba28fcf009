// The user's overrides of the retry policy, validated. Every fault is reported with its path and an example.
import type { z as Z } from 'zod'
import { ConfigError } from '../shared/errors.ts'
import { loadZod } from '../shared/zod.ts'
import { isTimeZone, TIME_OF_DAY } from './time-on-clock.ts'

const MAX_RETRIES = 10
/** The longest delay or period of a rule: a week. */
export const MAX_DELAY_SECONDS = 7 * 24 * 3600

const FORMS =
  `"stop", "hold", {"retries": 1 to ${MAX_RETRIES}, "baseDelaySeconds": above 0, at most ${MAX_DELAY_SECONDS}}, ` +
  '{"retries": ..., "after": "00:00", "timeZone": "America/Los_Angeles"} ' +
  `{"retries": ..., "periodSeconds": above 0, at most ${MAX_DELAY_SECONDS}} ` +
  'or {"retries": ..., "when": "window_opens"}'

const CODE = /^[1-9]\d{3,5}$/

/** Whether a rule can be given for this code. */
export const isOverridable = (code: number): boolean => CODE.test(`${code}`)

function createSchemas() {
  const { z } = loadZod()
  const retries = z.int().min(1).max(MAX_RETRIES)
  const seconds = z.number().positive().max(MAX_DELAY_SECONDS)
  return {
    word: z.literal(['stop', 'hold'], `must be ${FORMS}`),
    backOff: z.strictObject({ retries, baseDelaySeconds: seconds }),
    clock: z.strictObject({
      retries,
      after: z.string().regex(TIME_OF_DAY, 'must be a time of day, "00:00" to "23:59"'),
      timeZone: z.string().refine(isTimeZone, 'is not a time zone such as "America/Los_Angeles"'),
    }),
    rolling: z.strictObject({ retries, periodSeconds: seconds }),
    window: z.strictObject({
      retries,
      when: z.literal('window_opens', 'must be "window_opens": each retry waits for the next send window'),
    }),
  }
}

type Schemas = ReturnType<typeof createSchemas>

/** One rule: `"stop"`, `"hold"`, a back-off, a time on the clock, a rolling period, or the next send window. */
export type RuleOverride = Z.infer<Schemas[keyof Schemas]>

function createSchema() {
  const { z } = loadZod()
  const schemas = createSchemas()
  // The keys show which kind of rule is meant, so its faults are reported, not those of all kinds.
  const rule = z.custom<RuleOverride>().superRefine((value, context) => {
    for (const issue of schemaOf(value, schemas).safeParse(value).error?.issues ?? []) {
      const message =
        issue.code === 'unrecognized_keys' ? `${issue.message}; a rule is ${FORMS}` : issue.message
      context.addIssue({ code: 'custom', path: [...issue.path], message })
    }
  })
  return z.strictObject({
    default: rule.optional(),
    codes: z.record(z.string().regex(CODE, 'is not an error code such as 30003'), rule).optional(),
    jitter: z.number().min(0).max(1).optional(),
    maxDelaySeconds: z.number().positive().max(MAX_DELAY_SECONDS).optional(),
  })
}

function schemaOf(rule: unknown, { word, backOff, clock, rolling, window }: Schemas): Z.ZodType {
  if (typeof rule !== 'object' || rule === null) return word
  if ('after' in rule || 'timeZone' in rule) return clock
  if ('when' in rule) return window
  return 'periodSeconds' in rule ? rolling : backOff
}

/**
 * A user may override single codes, the rule of unknown codes, the jitter (0 to 1) and the maximum back-off in seconds.
 * A rule is `"stop"`, `"hold"`, `{ retries: 1..10, baseDelaySeconds }`, `{ retries, after: 'HH:MM', timeZone }`,
 * `{ retries, periodSeconds }` or `{ retries, when: 'window_opens' }`.
 */
export type RetryPolicyOverrides = Z.input<ReturnType<typeof createSchema>>

const EXAMPLE =
  '{"codes": {"30003": {"retries": 3, "baseDelaySeconds": 600}, "30004": "stop", ' +
  '"30023": {"retries": 2, "after": "00:00", "timeZone": "America/Los_Angeles"}}}'

/** @throws ConfigError with every fault by its path, and an example */
export function readOverrides(overrides: unknown): RetryPolicyOverrides {
  const parsed = createSchema().safeParse(overrides)
  if (parsed.success) return parsed.data
  const faults = parsed.error.issues.map((issue) => {
    // For an invalid key, the schema's own message is nested in zod's.
    const { message } = (issue.code === 'invalid_key' ? issue.issues[0] : undefined) ?? issue
    return `${issue.path.join('.') || 'policy'}: ${message}`
  })
  throw new ConfigError(`The retry policy is not valid:\n  ${faults.join('\n  ')}\nExample: ${EXAMPLE}`)
}
