// A transaction: committed, rolled back, or neither is known, and the caller learns which.
//
// Its statements are pipelined: they go out without waiting for each other's answers. But PostgreSQL treats each of them
// as a unit: if one fails, it goes on with the next. So nothing that changes data goes out before `begin` is answered,
// and the command tag of the commit decides whether anything was written.
import type pg from 'pg'
import { DatabaseError } from '../shared/errors.ts'
import { Connection, type ConnectionSource } from './connection.ts'
import { isAnswer, rethrowNotWritten, toDatabaseError } from './database-failure.ts'
import { beginStatement } from './session-settings.ts'

/** Runs one statement: a pool, a client inside a transaction, or an adapter of an ORM's transaction. */
export interface Db {
  executeSql<Row extends object = object>(text: string, values?: unknown[]): Promise<{ rows: Row[] }>
}

export interface Transaction extends Db {
  /**
   * For a first statement that reads or locks: it is sent together with `begin` and saves a round trip. It must not
   * change data: should `begin` fail, it runs outside the transaction.
   */
  readonly atBegin: Db
  /**
   * For the last statements, whose results nobody needs: they are sent together with the commit once `work` has
   * returned, and save a round trip. Each seems to return no rows.
   */
  readonly atCommit: Db
  /** The same for one statement whose rows are needed: `onRows` gets them before the transaction resolves. */
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

/** @throws DatabaseError if the database failed; whatever `work` throws otherwise */
export async function inTransaction<T>(
  source: ConnectionSource,
  work: (tx: Transaction) => Promise<T>,
  lockTimeoutMs: number | null = null,
): Promise<T> {
  return Connection.with(source, async (connection) => {
    const pipeline = new TransactionPipeline(connection, lockTimeoutMs)
    try {
      const result = await work(pipeline)
      await pipeline.commit()
      return result
    } catch (error) {
      await pipeline.end()
      throw error
    }
  })
}

interface LastStatement {
  readonly text: string
  readonly values: unknown[] | undefined
  readonly onRows: ((rows: readonly never[]) => void) | undefined
}

class TransactionPipeline implements Transaction {
  readonly #connection: Connection
  readonly #begun: Promise<unknown>
  readonly #last: LastStatement[] = []
  #isOver = false

  constructor(connection: Connection, lockTimeoutMs: number | null) {
    this.#connection = connection
    this.#begun = connection.send(beginStatement(lockTimeoutMs))
    // Each statement and the commit throw the failure.
    this.#begun.catch(() => undefined)
  }

  readonly atBegin: Db = {
    executeSql: async (text, values) => {
      this.#refuseIfOver()
      const sent = this.#connection.send<never>(text, values)
      const [, { rows }] = await Promise.all([this.#begun, sent]).catch(rethrowNotWritten)
      return { rows }
    },
  }

  readonly atCommit: Db = {
    executeSql: async (text, values) => {
      this.#refuseIfOver()
      this.#last.push({ text, values, onRows: undefined })
      return { rows: [] }
    },
  }

  async executeSql<Row extends object>(text: string, values?: unknown[]): Promise<{ rows: Row[] }> {
    await this.#begun.catch(rethrowNotWritten)
    this.#refuseIfOver()
    const sent = this.#connection.send<Row & pg.QueryResultRow>(text, values)
    const { rows } = await sent.catch(rethrowNotWritten)
    return { rows }
  }

  executeAtCommit<Row extends object>(
    text: string,
    values: unknown[],
    onRows: (rows: readonly Row[]) => void,
  ): void {
    this.#refuseIfOver()
    // The caller knows which rows its statement returns.
    this.#last.push({ text, values, onRows: onRows as LastStatement['onRows'] })
  }

  /** @throws DatabaseError, also if an earlier statement failed and `work` went on */
  async commit(): Promise<void> {
    await this.#begun.catch(rethrowNotWritten)
    this.#refuseIfOver()
    this.#isOver = true
    const writes = this.#sendLast()
    // Within a tick, pg reports a value that it cannot write. The server does not know of it and would commit the others.
    await new Promise<void>((resolve) => process.nextTick(resolve))
    this.#refuseIfFailed()
    const { command } = await this.#connection.send('commit').catch((error: Error) => this.#failCommit(error))
    if (command !== 'COMMIT') {
      rethrowNotWritten(this.#connection.failure ?? new Error('The database rolled the transaction back'))
    }
    // Committed, but the rows of a statement cannot be read.
    await writes.catch((error: Error) => {
      throw toDatabaseError(error, 'unknown')
    })
  }

  #sendLast(): Promise<unknown> {
    const sent = this.#last.map(async ({ text, values, onRows }) => {
      const { rows } = await this.#connection.send<never>(text, values)
      onRows?.(rows)
    })
    const all = Promise.all(sent)
    // `commit` throws the error after its own answer, which comes last.
    all.catch(() => undefined)
    return all
  }

  /** A server that refuses a commit and crashes because of it may still find the commit in its log. */
  async #failCommit(error: Error): Promise<never> {
    const isRefused = isAnswer(error) && (await this.#rollBack())
    throw toDatabaseError(error, isRefused ? 'no' : 'unknown')
  }

  /** Rolls back unless the commit was sent. Never rejects. */
  async end(): Promise<void> {
    // Statements that wait for `begin` go out first.
    await this.#begun.catch(() => undefined)
    if (!this.#isOver) await this.#rollBack()
  }

  /** @returns whether the server confirmed it; if it did not, the connection is broken */
  async #rollBack(): Promise<boolean> {
    this.#isOver = true
    if (this.#connection.isBroken) return false
    return this.#connection.send('rollback').then(
      () => true,
      (error: Error) => {
        this.#connection.breakWith(error)
        return false
      },
    )
  }

  #refuseIfOver(): void {
    this.#refuseIfFailed()
    if (this.#isOver) throw new DatabaseError('The transaction is over')
  }

  #refuseIfFailed(): void {
    const { failure } = this.#connection
    if (failure !== undefined) rethrowNotWritten(failure)
  }
}
