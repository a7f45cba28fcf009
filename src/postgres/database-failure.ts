// What a database failure means: whether anything was written, and whether it concerns this row or every statement.
import pg from 'pg'
import { DatabaseError, RefusedRowError } from '../shared/errors.ts'

/** For a connection or a statement that cannot have written anything. */
export function rethrowFailed(error: Error): never {
  throw new DatabaseError(`The database failed: ${error.message}`, { cause: error })
}

/** For a statement inside a transaction: if it fails, the transaction writes nothing. */
export function rethrowNotWritten(error: Error): never {
  throw toDatabaseError(error, 'no')
}

/** For a commit or a statement on its own: the server did not do what it refused. Any other failure leaves it open. */
export function rethrowMaybeWritten(error: Error): never {
  throw toDatabaseError(error, isAnswer(error) ? 'no' : 'unknown')
}

export function toDatabaseError(error: Error, written: DatabaseError['written']): DatabaseError {
  if (error instanceof DatabaseError) return error
  const scope = isAnswer(error) ? scopeOf(error) : 'database'
  return new DatabaseError(`The database failed: ${error.message}`, { cause: error, written, scope })
}

function scopeOf({ code = '', routine }: pg.DatabaseError): DatabaseError['scope'] {
  // A policy of row-level security refuses one row, but shares its code (42501) with a missing right.
  if (routine === 'ExecWithCheckOptions') return 'refused_row'
  if (CONCERNS_ALL.test(code)) return 'database'
  return BUSY.test(code) ? 'busy_row' : 'refused_row'
}

/**
 * The server would refuse any statement: it is read-only (25006, after a failover), lacks the table (42P01), the right to
 * use it (42501), resources (53) or files (58). 25P03 and 25P04: the transaction was idle or open for too long.
 */
const CONCERNS_ALL = /^(25006|25P03|25P04|42P01|42501|53|58)/

/** A conflict or a deadlock (40), a lock that another transaction holds (55P03), a statement that took too long (57014). */
const BUSY = /^(40|55P03|57014)/

/** Whether the server answered the statement with an error and keeps the connection open. */
export function isAnswer(error: unknown): error is pg.DatabaseError {
  return error instanceof pg.DatabaseError && !isEndOfConnection(error)
}

/**
 * The server, or a pooler in front of it, ends the connection; it may have committed before. 57P is a shutdown, 08 a
 * broken connection (PgBouncer: "server conn crashed?").
 */
function isEndOfConnection({ code }: pg.DatabaseError): boolean {
  return /^(57P|08)/.test(code ?? '')
}

const NOT_NULL_VIOLATION = '23502'
const INSUFFICIENT_PRIVILEGE = '42501'

/** For a DatabaseError that is a refusal. Its message may quote the row; the new one does not. */
export function toRefusedRowError({ cause, message }: DatabaseError): RefusedRowError {
  if (!isAnswer(cause)) return new RefusedRowError(message, { cause })
  const { constraint = null } = cause
  const because = describeRefusal(cause)
  return new RefusedRowError(
    `The database refuses the row of this message: ${because}. Nothing was written or submitted. Trying again will not ` +
      'help until the message or the database changes',
    { cause, constraint },
  )
}

/** Names no value of the row. A trigger can raise any code, without the names of a table, column or constraint. */
function describeRefusal({ code, table, column, constraint }: pg.DatabaseError): string {
  const place = table === undefined ? '' : ` of table ${table}`
  if (constraint !== undefined) return `constraint ${constraint}${place}`
  if (code === NOT_NULL_VIOLATION && column !== undefined)
    return `column ${column}${place} does not allow null`
  if (code === INSUFFICIENT_PRIVILEGE) return 'a policy of row-level security'
  return `PostgreSQL reports error ${code}; the cause has its text`
}
