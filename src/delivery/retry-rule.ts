// The kinds of rule for a failed attempt. error-codes.ts assigns a rule to each code; retry-policy.ts computes the delay.

/** Back off: `baseDelaySeconds` before the first retry, doubled for each further one. */
export interface BackOffRule {
  readonly action: 'retry'
  readonly retries: number
  readonly baseDelaySeconds: number
}

/** Each retry waits until it is `after` in `timeZone`: for limits that are reset at a time of day. */
export interface ClockRule {
  readonly action: 'retry'
  readonly retries: number
  /** HH:MM, 24 hours. */
  readonly after: string
  /** An IANA name, such as America/Los_Angeles. */
  readonly timeZone: string
}

/** Each retry waits for the whole period, which no maximum shortens: for limits over a rolling period. */
export interface RollingRule {
  readonly action: 'retry'
  readonly retries: number
  readonly periodSeconds: number
}

export type RetryRule = BackOffRule | ClockRule | RollingRule

/** Never retry: the same request would fail again, or do harm. */
export interface StopRule {
  readonly action: 'stop'
}

export type Rule = RetryRule | StopRule
