// Transactions that end one way or the other, and tell which: single ones, and series of them.
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { DatabaseError } from '../errors.ts'
import {
  type Connection,
  type ConnectionSource,
  connect,
  connectionsOf,
  inOneWrite,
  onConnection,
} from './connection.ts'
import { throwCertain, throwUncertain } from './database-failure.ts'

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

export type SeriesTask = (transaction: RunTransaction) => void

/** @param onCommitting called when all has been sent, in time for what is to be sent with it */
export async function inTransaction<T>(
  connection: Connection,
  work: (tx: Transaction) => Promise<T>,
  onCommitting?: () => void,
): Promise<T> {
  const { client, execute } = connection
  const last: Statement[] = []
  const result = await beginAndWork(connection, work, last)
  // With the commit it is over on the server, whatever comes of it: what is sent after it concerns somebody else.
  const sent = inOneWrite(client, () => {
    const sending = last.map(({ text, values }) => execute(text, values))
    sending.push(execute('commit'))
    onCommitting?.()
    return sending
  })
  await untilCommitted(sent)
  return result
}

/** @param last is given the statements that are to be sent with the commit */
async function beginAndWork<T>(
  { client, execute, breakWith, isBroken }: Connection,
  work: (tx: Transaction) => Promise<T>,
  last: Statement[],
): Promise<T> {
  let isOver = false
  const tx: Transaction = {
    async executeSql(text, values) {
      // Work that goes on although its transaction has failed must not get into whatever comes after it.
      if (isOver) throw new DatabaseError('The transaction is over')
      return execute<never>(text, values).catch(throwCertain)
    },
    atCommit: {
      async executeSql(text, values) {
        last.push({ text, values })
        return { rows: [] }
      },
    },
  }
  try {
    // Not waited for: it is sent together with the first statement.
    const [begun, working] = inOneWrite(client, () => [tx.executeSql('begin'), work(tx)] as const)
    const [result] = await Promise.all([working, begun])
    return result
  } catch (error) {
    isOver = true
    if (!isBroken()) await execute('rollback').catch(breakWith)
    throw error
  }
}

/**
 * A series pauses for an answer after so many transactions: PgBouncer gives a connection to others only when nothing
 * more has been sent on it.
 */
const LONGEST_RUN = 50

export async function inSeries(source: ConnectionSource, next: () => SeriesTask | null): Promise<void> {
  const connecting = connect(source)
  const connection = await connecting.catch(() => null)
  // Whoever waits for it is to be told.
  if (connection === null) return next()?.(() => connecting as Promise<never>)
  const { pool, prepared } = source
  const { promise: ended, resolve: end } = Promise.withResolvers<void>()
  let running = 0
  let begun = 0
  /** What has begun and not yet sent its commit. */
  let open: number | null = null
  const transaction: RunTransaction = (work) => {
    running += 1
    begun += 1
    const number = begun
    open = number
    const inTurn = (): ReturnType<typeof work> =>
      inTransaction(connection, work, () => {
        open = null
        if (number % LONGEST_RUN !== 0) goOn()
      }).finally(() => {
        running -= 1
        if (open === number) open = null
        goOn()
      })
    return prepared.run(inTurn, () => onConnection(source, (other) => inTransaction(other, work)))
  }
  const begin = (task: SeriesTask | null): void => {
    if (task !== null) task(transaction)
    else if (running === 0) end()
  }
  const goOn = (): void => {
    const mayGoOn = !connection.isBroken() && connectionsOf(pool).waiting === 0
    if (open === null) begin(mayGoOn ? next() : null)
  }
  begin(next())
  await ended
  connection.release()
}

interface Statement {
  readonly text: string
  readonly values: unknown[] | undefined
}

/** @param sent the last statements and the commit; after one that failed, the server rolls back instead */
async function untilCommitted(sent: readonly Promise<pg.QueryResult>[]): Promise<void> {
  const results = await Promise.allSettled(sent)
  const failed = results.find((result) => result.status === 'rejected')
  if (failed !== undefined) throwUncertain(failed.reason)
  const commit = results.at(-1)
  if (commit?.status === 'fulfilled' && commit.value.command === 'COMMIT') return
  throw new DatabaseError('The database has rolled the transaction back')
}

export async function inCertainTransaction<T>(
  source: ConnectionSource,
  work: (tx: Db) => Promise<T>,
): Promise<T> {
  let done: { readonly result: T; readonly transactionId: string } | undefined
  try {
    await onConnection(source, (on) =>
      inTransaction(on, async (tx) => {
        const [number, result] = await Promise.all([
          tx.executeSql<{ id: string }>('select txid_current()::text as "id"'),
          work(tx),
        ])
        done = { result, transactionId: number.rows[0]?.id ?? '' }
      }),
    )
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.written === 'no' || done === undefined) throw error
    const status = await untilKnown(source.pool, done.transactionId)
    if (status === 'aborted') throw new DatabaseError(error.message, { cause: error.cause, written: 'no' })
    if (status === null) throw error
  }
  if (done === undefined) throw new Error('a transaction was committed whose work had not ended')
  return done.result
}

const ASK_AGAIN_AFTER_MS = [100, 400, 1_000, 2_000, 4_000]

/** PostgreSQL remembers what became of each transaction that has a number, also after a crash. */
async function untilKnown(pool: pg.Pool, transactionId: string): Promise<'committed' | 'aborted' | null> {
  for (const delayMs of ASK_AGAIN_AFTER_MS) {
    await sleep(delayMs)
    const { rows } = await pool
      .query<{ status: string | null }>('select txid_status($1::bigint) as "status"', [transactionId])
      .catch(() => ({ rows: [] }))
    const status = rows[0]?.status
    if (status === 'committed' || status === 'aborted') return status
  }
  return null
}
