// Transactions that end one way or the other, and tell which.
import { setTimeout as sleep } from 'node:timers/promises'
import { DatabaseError } from '../shared/errors.ts'
import { type Connection, type ConnectionSource, limited, onConnection } from './connection.ts'
import { rethrowNotWritten, rethrowMaybeWritten } from './database-failure.ts'
import { beginStatements } from './session-settings.ts'
import { TransactionQuery } from './transaction-query.ts'

/** Runs one statement: a pool, a client inside a transaction, or an adapter of an ORM's transaction. */
export interface Db {
  executeSql<Row extends object = object>(text: string, values?: unknown[]): Promise<{ rows: Row[] }>
}

export interface Transaction extends Db {
  /**
   * For the last statements, whose results nobody needs: they are sent together with the commit, once `work` has
   * returned, and cost no round trip of their own. Each seems to give no rows.
   */
  readonly atCommit: Db
  /** The same for one statement whose rows are needed: `onRows` has them before the transaction resolves. */
  executeAtCommit<Row extends object>(
    text: string,
    values: unknown[],
    onRows: (rows: readonly Row[]) => void,
  ): void
}

export type RunTransaction = <T>(
  work: (tx: Transaction) => Promise<T>,
  lockTimeoutMs?: number | null,
) => Promise<T>

export async function inTransaction<T>(
  { client, breakWith, isBroken }: Connection,
  source: ConnectionSource,
  work: (tx: Transaction) => Promise<T>,
  lockTimeoutMs: number | null = null,
): Promise<T> {
  const { prepared, rowReaders, queryTimeoutMs } = source
  const query = new TransactionQuery(prepared, rowReaders, queryTimeoutMs, beginStatements(lockTimeoutMs))
  const atCommit: typeof query.executeAtCommit = (statement, onRows) => {
    try {
      query.executeAtCommit(statement, onRows)
    } catch (error) {
      rethrowNotWritten(error as Error)
    }
  }
  try {
    client.query(query)
    const result = await work({
      executeSql: (text, values) => query.execute<never>({ text, values }).catch(rethrowNotWritten),
      atCommit: {
        executeSql: async (text, values) => {
          atCommit({ text, values })
          return { rows: [] }
        },
      },
      executeAtCommit: (text, values, onRows) => atCommit({ text, values }, onRows),
    })
    await query
      .commit()
      .catch((error: Error) => (query.isCommitSent ? rethrowMaybeWritten(error) : rethrowNotWritten(error)))
    if (query.failure !== undefined) breakWith(query.failure)
    return result
  } catch (error) {
    query.end()
    const isRolledBack =
      !isBroken() && (await isDone(client.query(limited({ text: 'rollback' }, source)), breakWith))
    if (!isRolledBack) query.abandon()
    if (!query.isCommitSent || isRolledBack || !(error instanceof DatabaseError)) throw error
    // A server that refuses a commit and dies of it may find it in its log when it starts again.
    throw new DatabaseError(error.message, { cause: error.cause, written: 'unknown' })
  }
}

function isDone(statement: Promise<unknown>, onFailure: (error: Error) => void): Promise<boolean> {
  return statement.then(
    () => true,
    (error: Error) => {
      onFailure(error)
      return false
    },
  )
}

/** How a transaction is found again whose commit got no answer. */
export interface Confirmation<T> {
  /** A name that no other transaction has: it is locked until the transaction ends. */
  readonly name: string
  /** Whether the result of `work` is in the database. Asked on the server that the database's address leads to then. */
  readonly isWritten: (tx: Db, result: T) => Promise<boolean>
}

/**
 * Not by the transaction's number: after a failover, the new primary gives the numbers out again that it has not seen. The
 * lock is what tells a transaction that is still committing (it waits for a synchronous standby) from one that is lost.
 */
export async function inConfirmedTransaction<T>(
  source: ConnectionSource,
  work: (tx: Db) => Promise<T>,
  { name, isWritten }: Confirmation<T>,
): Promise<T> {
  let done: { readonly result: T } | undefined
  try {
    await onConnection(source, (on) =>
      inTransaction(on, source, async (tx) => {
        const [, result] = await Promise.all([tx.executeSql(LOCK_NAME, [name]), work(tx)])
        done = { result }
      }),
    )
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.written === 'no' || done === undefined) throw error
    const { result } = done
    const wasWritten = await lookUpCommit(source, name, (tx) => isWritten(tx, result))
    if (wasWritten === false) throw new DatabaseError(error.message, { cause: error.cause, written: 'no' })
    if (wasWritten === null) throw error
  }
  if (done === undefined) throw new Error('a transaction was committed whose work had not ended')
  return done.result
}

const LOCK_NAME = 'select pg_advisory_xact_lock(hashtextextended($1, 0))'

const ASK_AGAIN_AFTER_MS = [100, 400, 1_000, 2_000, 4_000]

/** Null if the database did not come back in time, or has only a standby to answer, which may lack the latest commits. */
async function lookUpCommit(
  source: ConnectionSource,
  name: string,
  isWritten: (tx: Db) => Promise<boolean>,
): Promise<boolean | null> {
  for (const delayMs of ASK_AGAIN_AFTER_MS) {
    await sleep(delayMs)
    const answer = await onConnection(source, (on) =>
      inTransaction(on, source, async (tx) => {
        await tx.executeSql(LOCK_NAME, [name])
        const { rows } = await tx.executeSql<{ isStandby: boolean }>(IS_STANDBY)
        return rows[0]?.isStandby === false ? await isWritten(tx) : null
      }),
    ).catch((error: unknown) => {
      if (error instanceof DatabaseError) return null
      throw error
    })
    if (answer !== null) return answer
  }
  return null
}

const IS_STANDBY = 'select pg_is_in_recovery() as "isStandby"'
