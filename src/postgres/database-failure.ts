// What a failure of the database means: whether it was written, and whether it concerns this statement or all of them.
import pg from 'pg'
import { DatabaseError } from '../shared/errors.ts'

/** For what cannot have been written, or of which it does not matter: nobody asks what became of it. */
export function rethrowFailed(error: Error): never {
  throw new DatabaseError(`The database failed: ${error.message}`, { cause: error })
}

/** For what is part of a transaction: if it fails, nothing is written. */
export function rethrowNotWritten(error: Error): never {
  throw toDatabaseError(error, 'no')
}

/** For a commit, or a statement that is its own: what the server refused, it did not do; otherwise nobody knows. */
export function rethrowMaybeWritten(error: Error): never {
  throw toDatabaseError(error, isAnswer(error) ? 'no' : 'unknown')
}

function toDatabaseError(error: Error, written: DatabaseError['written']): DatabaseError {
  if (error instanceof DatabaseError) return error
  const scope = isAnswer(error) ? scopeOf(error.code ?? '') : 'database'
  return new DatabaseError(`The database failed: ${error.message}`, { cause: error, written, scope })
}

function scopeOf(sqlState: string): DatabaseError['scope'] {
  if (CONCERNS_ALL.test(sqlState)) return 'database'
  return BUSY.test(sqlState) ? 'busy_row' : 'refused_row'
}

/**
 * What would be refused whatever was asked: by a database that may not be written to (25006, after a failover), that
 * lacks the table (42P01), the right to it (42501), resources (53) or its files (58); and a transaction that as a whole
 * took too long (25P04).
 */
const CONCERNS_ALL = /^(25006|25P04|42P01|42501|53|58)/

/** A conflict or a deadlock (40), a lock that somebody holds (55P03), a statement that took too long (57014). */
const BUSY = /^(40|55P03|57014)/

/** What the server itself says to a statement, and goes on. */
export function isAnswer(error: unknown): error is pg.DatabaseError {
  return error instanceof pg.DatabaseError && !isEndOfConnection(error)
}

/**
 * The server, or a pooler in front of it, ends the connection: it may have committed before. 57P is a shutdown, 08 a
 * connection that broke (PgBouncer: "server conn crashed?").
 */
function isEndOfConnection({ code }: pg.DatabaseError): boolean {
  return /^(57P|08)/.test(code ?? '')
}
