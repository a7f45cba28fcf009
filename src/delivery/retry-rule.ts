// What can be done about a failed attempt: the kinds of rule. Which code has which is in error-codes.ts; when the
// next attempt is due follows from the rule in retry-policy.ts.

/** Back off: `baseDelaySeconds` before the first retry, doubled for each further one. */
export interface BackOffRule {
  readonly action: 'retry'
  readonly retries: number
  readonly baseDelaySeconds: number
}

/** Each retry waits until the clocks of `timeZone` show `after`: for limits that are reset at a time of day. */
export interface ClockRule {
  readonly action: 'retry'
  readonly retries: number
  /** HH:MM, 24 hours. */
  readonly after: string
  /** An IANA name, such as America/Los_Angeles. */
  readonly timeZone: string
}

/** Each retry waits for the whole period, which no maximum shortens: for limits on a rolling period. */
export interface RollingRule {
  readonly action: 'retry'
  readonly retries: number
  readonly periodSeconds: number
}

export type RetryRule = BackOffRule | ClockRule | RollingRule

/** Never try again: the same request would fail the same way, or do harm. */
export interface StopRule {
  readonly action: 'stop'
}

export type Rule = RetryRule | StopRule
