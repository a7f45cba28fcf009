// The errors that sms-retry throws. Each has a literal `code`, so callers need not match message texts.

/** The base class: `error instanceof SmsRetryError` is true for all errors of sms-retry. */
export abstract class SmsRetryError extends Error {
  abstract readonly code: string
  override get name(): string {
    return this.constructor.name
  }
}

/** The configuration or the retry policy is invalid. The message lists every fault, without secrets. */
export class ConfigError extends SmsRetryError {
  readonly code = 'CONFIG'
}

/** The message, or an argument of `get` or `cancel`, is invalid. Nothing was written and nothing was submitted. */
export class InvalidMessageError extends SmsRetryError {
  readonly code: string = 'INVALID_MESSAGE'
  /** The positions of the invalid messages in the list that `enqueueMany` got. Empty for other calls. */
  readonly indexes: readonly number[]

  constructor(message: string, indexes: readonly number[] = []) {
    super(message)
    this.indexes = indexes
  }
}

/** The idempotency key belongs to another message. Nothing was written and nothing was submitted. */
export class IdempotencyKeyReusedError extends InvalidMessageError {
  override readonly code = 'IDEMPOTENCY_KEY_REUSED'
}

/** The table or the queue is missing or outdated. `sms-retry migrate` fixes it. */
export class SchemaError extends SmsRetryError {
  readonly code = 'SCHEMA'
}

/** The database failed: it was unavailable, overloaded or shut down. `cause` is the driver's error. */
export class DatabaseError extends SmsRetryError {
  readonly code = 'DATABASE'
  /**
   * `no`: nothing was written. `unknown`: the answer to the commit was lost, and the database was unavailable for too long
   * to check. Every call can be repeated, a send only with its idempotency key.
   */
  readonly written: 'no' | 'unknown'
  /**
   * What failed. `database`: the whole database, such as a lost connection; a later retry helps. `busy_row`: only these
   * rows, because of a lock, a conflict or a time-out; a later retry helps. `refused_row`: a constraint, a trigger, a rule
   * or row-level security refuses these rows; only a change of the row or the database helps.
   */
  readonly scope: 'database' | 'busy_row' | 'refused_row'

  constructor(
    message: string,
    options: { cause?: unknown; written?: 'no' | 'unknown'; scope?: DatabaseError['scope'] } = {},
  ) {
    super(message, { cause: options.cause })
    this.written = options.written ?? 'no'
    this.scope = options.scope ?? 'database'
  }

  /** True if the database refuses the row, so a retry would fail as well. */
  get isRefusal(): boolean {
    return this.scope === 'refused_row'
  }
}

/**
 * The database refuses the row: a constraint, a trigger or row-level security of your app. Nothing was written and nothing
 * was submitted. The same call fails again, until the message or the database changes. The text names the constraint;
 * `cause` is the driver's error, whose `detail` may quote the row: not for logs.
 */
export class RefusedRowError extends SmsRetryError {
  readonly code = 'REFUSED_ROW'
  /** The constraint that refuses the row. Null if none does, such as for a trigger. */
  readonly constraint: string | null

  constructor(message: string, options: { cause?: unknown; constraint?: string | null } = {}) {
    super(message, { cause: options.cause })
    this.constraint = options.constraint ?? null
  }
}

/** Too many events wait to be recorded. This one was not recorded: send it again later. */
export class OverloadedError extends SmsRetryError {
  readonly code = 'OVERLOADED'
}

/** A package that only the demo needs is not installed. The message says how to install it. */
export class NotInstalledError extends SmsRetryError {
  readonly code = 'NOT_INSTALLED'
}
