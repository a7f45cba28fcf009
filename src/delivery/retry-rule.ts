// The kinds of rule for a failed attempt. error-codes.ts assigns a rule to each code; retry-policy.ts computes the delay.

/** Back off: `baseDelaySeconds` before the first retry, doubled for each further one. */
export interface BackOffRule {
  readonly action: 'retry'
  readonly retries: number
  readonly baseDelaySeconds: number
  /** True for a code that also counts towards a hold of the account. */
  readonly countsTowardsHold?: true
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

/** Each retry waits until the send window opens next: for refusals because of the hour at the recipient. */
export interface WindowRule {
  readonly action: 'retry'
  readonly retries: number
  readonly when: 'window_opens'
}

/** A rule whose delay does not depend on the recipient. */
export type TimedRule = BackOffRule | ClockRule | RollingRule

export type RetryRule = TimedRule | WindowRule

/** Never retry: the same request would fail again, or do harm. */
export interface StopRule {
  readonly action: 'stop'
}

/** The account fails, not the message: the retry uses up no retry, and a few such failures cause a hold. */
export interface HoldRule {
  readonly action: 'hold'
}

export type Rule = RetryRule | StopRule | HoldRule
