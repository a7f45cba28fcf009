// A transaction that must not be done twice: if the answer to its commit gets lost, the database is asked for the result.
import { setTimeout as sleep } from 'node:timers/promises'
import { DatabaseError } from '../shared/errors.ts'
import type { ConnectionSource } from './connection.ts'
import { type Db, inTransaction, type Transaction } from './transaction.ts'

/** How to find a transaction whose commit got no answer. */
export interface Confirmation<T> {
  /** A name that no other transaction has: it is locked until the transaction ends. */
  readonly name: string
  /** Whether the result of `work` is in the database. Runs on the server that the database's address leads to then. */
  readonly isWritten: (tx: Db, result: T) => Promise<boolean>
}

/**
 * Not by the transaction's number: after a failover, the new primary assigns the numbers again that it has not seen. The
 * lock tells a transaction that is still committing (it waits for a synchronous standby) from one that is lost.
 */
export async function inConfirmedTransaction<T>(
  source: ConnectionSource,
  work: (tx: Transaction) => Promise<T>,
  { name, isWritten }: Confirmation<T>,
): Promise<T> {
  let done: { readonly result: T } | undefined
  try {
    await inTransaction(source, async (tx) => {
      const [, result] = await Promise.all([tx.atBegin.executeSql(LOCK_NAME, [name]), work(tx)])
      done = { result }
    })
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.written === 'no' || done === undefined) throw error
    const { result } = done
    const wasWritten = await lookUpCommit(source, name, (tx) => isWritten(tx, result))
    if (wasWritten === false) throw new DatabaseError(error.message, { cause: error.cause, written: 'no' })
    if (wasWritten === null) throw error
  }
  if (done === undefined) throw new Error('a transaction was committed before its work had ended')
  return done.result
}

const LOCK_NAME = 'select pg_advisory_xact_lock(hashtextextended($1, 0))'

const LOOK_UP_AFTER_MS = [100, 400, 1_000, 2_000, 4_000]

/** Null if the database did not come back in time, or if only a standby answers, which may lack the latest commits. */
async function lookUpCommit(
  source: ConnectionSource,
  name: string,
  isWritten: (tx: Db) => Promise<boolean>,
): Promise<boolean | null> {
  for (const delayMs of LOOK_UP_AFTER_MS) {
    await sleep(delayMs)
    const answer = await inTransaction(source, async (tx) => {
      await tx.atBegin.executeSql(LOCK_NAME, [name])
      const { rows } = await tx.executeSql<{ isStandby: boolean }>(IS_STANDBY)
      return rows[0]?.isStandby === false ? await isWritten(tx) : null
    }).catch((error: unknown) => {
      if (error instanceof DatabaseError) return null
      throw error
    })
    if (answer !== null) return answer
  }
  return null
}

const IS_STANDBY = 'select pg_is_in_recovery() as "isStandby"'
