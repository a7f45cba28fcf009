// The errors that sms-retry throws on purpose. Each has a literal `code`, so that callers need not match texts.

/** Base class: `error instanceof SmsRetryError` tells our errors from all others. */
export abstract class SmsRetryError extends Error {
  abstract readonly code: string
  override get name(): string {
    return this.constructor.name
  }
}

/** The configuration or the retry policy is wrong. The message names every fault, never a secret's value. */
export class ConfigError extends SmsRetryError {
  readonly code = 'CONFIG'
}

/** The message cannot be sent as given. Nothing was written and nothing was submitted. */
export class InvalidMessageError extends SmsRetryError {
  readonly code: string = 'INVALID_MESSAGE'
}

/** The idempotency key belongs to another message already. Nothing was written and nothing was submitted. */
export class IdempotencyKeyReusedError extends InvalidMessageError {
  override readonly code = 'IDEMPOTENCY_KEY_REUSED'
}

/** The database lacks the table or the queue, or has them in an older form. `sms-retry migrate` mends it. */
export class SchemaError extends SmsRetryError {
  readonly code = 'SCHEMA'
}

/**
 * The database did not do what was asked of it: away, overloaded, or shut down in the middle. `cause` is the
 * driver's error.
 */
export class DatabaseError extends SmsRetryError {
  readonly code = 'DATABASE'
  /**
   * `no`: nothing was written. `unknown`: the answer to the commit got lost, and the database stayed away for too long
   * to be asked. Every step can be repeated, a send with its idempotency key.
   */
  readonly written: 'no' | 'unknown'
  /**
   * What failed. `database`: all of it, such as a lost connection; asking again later helps. `busy_row`: the database is
   * there, but a lock, a conflict or a time-out stood in the way of these rows; asking again later helps. `refused_row`: it
   * refuses these rows by a constraint, a trigger, a rule or row-level security; only a change of row or database helps.
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

  /** The database refuses the row: the same would fail again. */
  get isRefusal(): boolean {
    return this.scope === 'refused_row'
  }
}

/** More waits to be recorded than is good for anybody. Nothing was recorded; it is to come again later. */
export class OverloadedError extends SmsRetryError {
  readonly code = 'OVERLOADED'
}

/** A package that only the demo needs is not installed. The message says how to get it. */
export class NotInstalledError extends SmsRetryError {
  readonly code = 'NOT_INSTALLED'
}
