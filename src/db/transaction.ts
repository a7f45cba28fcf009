// Transactions that end one way or the other, and tell which.
import { setTimeout as sleep } from 'node:timers/promises'
import { DatabaseError } from '../errors.ts'
import { type Connection, type ConnectionSource, limited, onConnection } from './connection.ts'
import { throwCertain, throwUncertain } from './database-failure.ts'
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
}

export type RunTransaction = <T>(work: (tx: Transaction) => Promise<T>) => Promise<T>

export async function inTransaction<T>(
  { client, breakWith, isBroken }: Connection,
  source: ConnectionSource,
  work: (tx: Transaction) => Promise<T>,
): Promise<T> {
  const query = new TransactionQuery(source.prepared, source.rowReaders, source.queryTimeoutMs)
  try {
    client.query(query)
    const result = await work({
      executeSql: (text, values) => query.execute<never>({ text, values }).catch(throwCertain),
      atCommit: {
        executeSql: (text, values) => query.executeAtCommit<never>({ text, values }).catch(throwCertain),
      },
    })
    await query
      .commit()
      .catch((error: Error) => (query.isCommitSent ? throwUncertain(error) : throwCertain(error)))
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

export async function inCertainTransaction<T>(
  source: ConnectionSource,
  work: (tx: Db) => Promise<T>,
): Promise<T> {
  let done: { readonly result: T; readonly transactionId: string } | undefined
  try {
    await onConnection(source, (on) =>
      inTransaction(on, source, async (tx) => {
        const [number, result] = await Promise.all([
          tx.executeSql<{ id: string }>('select txid_current()::text as "id"'),
          work(tx),
        ])
        done = { result, transactionId: number.rows[0]?.id ?? '' }
      }),
    )
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.written === 'no' || done === undefined) throw error
    const status = await untilKnown(source, done.transactionId)
    if (status === 'aborted') throw new DatabaseError(error.message, { cause: error.cause, written: 'no' })
    if (status === null) throw error
  }
  if (done === undefined) throw new Error('a transaction was committed whose work had not ended')
  return done.result
}

const ASK_AGAIN_AFTER_MS = [100, 400, 1_000, 2_000, 4_000]

/** PostgreSQL remembers what became of each transaction that has a number, also after a crash. */
async function untilKnown(
  source: ConnectionSource,
  transactionId: string,
): Promise<'committed' | 'aborted' | null> {
  const query = limited(
    { text: 'select txid_status($1::bigint) as "status"', values: [transactionId] },
    source,
  )
  for (const delayMs of ASK_AGAIN_AFTER_MS) {
    await sleep(delayMs)
    const { rows } = await source.pool.query<{ status: string | null }>(query).catch(() => ({ rows: [] }))
    const status = rows[0]?.status
    if (status === 'committed' || status === 'aborted') return status
  }
  return null
}
