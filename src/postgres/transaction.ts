// Runs a transaction and reports its result: committed, rolled back, or unknown.
//
// The statements are pipelined: each is sent without waiting for the answer to the one before. PostgreSQL runs the next
// statement even if one fails. So no statement that changes data is sent before `begin` is answered, and the command
// tag of the commit shows whether anything was written.
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
   * For a first statement that reads or locks. It is sent together with `begin`, which saves a round trip. It must not
   * change data: if `begin` fails, the statement runs outside the transaction.
   */
  readonly atBegin: Db
  /**
   * For the last statements, whose rows nobody needs. They are sent together with the commit, after `work` has
   * returned, which saves a round trip. The promise of each resolves before that, without rows.
   */
  readonly atCommit: Db
  /** Like `atCommit`, for a statement whose rows are needed: `onRows` gets them before the transaction resolves. */
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
  #hasEnded = false

  constructor(connection: Connection, lockTimeoutMs: number | null) {
    this.#connection = connection
    this.#begun = connection.send(beginStatement(lockTimeoutMs))
    // The error is not lost: each statement and the commit throw it.
    this.#begun.catch(() => undefined)
  }

  readonly atBegin: Db = {
    executeSql: async (text, values) => {
      this.#refuseIfEnded()
      const sent = this.#connection.send<never>(text, values)
      const [, { rows }] = await Promise.all([this.#begun, sent]).catch((error: Error) => this.#fail(error))
      return { rows }
    },
  }

  readonly atCommit: Db = {
    executeSql: async (text, values) => {
      this.#refuseIfEnded()
      this.#last.push({ text, values, onRows: undefined })
      return { rows: [] }
    },
  }

  async executeSql<Row extends object>(text: string, values?: unknown[]): Promise<{ rows: Row[] }> {
    await this.#begun.catch(rethrowNotWritten)
    this.#refuseIfEnded()
    const sent = this.#connection.send<Row & pg.QueryResultRow>(text, values)
    const { rows } = await sent.catch((error: Error) => this.#fail(error))
    return { rows }
  }

  executeAtCommit<Row extends object>(
    text: string,
    values: unknown[],
    onRows: (rows: readonly Row[]) => void,
  ): void {
    this.#refuseIfEnded()
    // The caller knows which rows its statement returns.
    this.#last.push({ text, values, onRows: onRows as LastStatement['onRows'] })
  }

  /** @throws DatabaseError, even if an earlier statement failed and `work` ignored the error */
  async commit(): Promise<void> {
    await this.#begun.catch(rethrowNotWritten)
    this.#refuseIfEnded()
    this.#hasEnded = true
    const lastStatements = this.#sendLast()
    // If pg cannot encode a value, it reports that within one tick. The server never sees that statement and would
    // commit the others.
    await new Promise<void>((resolve) => process.nextTick(resolve))
    this.#refuseIfFailed()
    const { command } = await this.#connection.send('commit').catch((error: Error) => this.#failCommit(error))
    if (command !== 'COMMIT') {
      rethrowNotWritten(this.#connection.failure ?? new Error('The database rolled the transaction back'))
    }
    // The transaction is committed, but the rows of a statement cannot be read.
    await lastStatements.catch((error: Error) => {
      throw toDatabaseError(error, 'unknown')
    })
  }

  #sendLast(): Promise<unknown> {
    const sent = this.#last.map(async ({ text, values, onRows }) => {
      const { rows } = await this.#connection.send<never>(text, values)
      onRows?.(rows)
    })
    const all = Promise.all(sent)
    // The error is not lost: `commit` throws it after the answer to the commit, which comes last.
    all.catch(() => undefined)
    return all
  }

  /**
   * A refused commit counts as rolled back only if the server confirms the rollback. If the server crashes instead, its
   * recovery may complete the commit.
   */
  async #failCommit(error: Error): Promise<never> {
    const isRefused = isAnswer(error) && (await this.#rollBack())
    throw toDatabaseError(error, isRefused ? 'no' : 'unknown')
  }

  /** Rolls back unless the commit was sent. Never rejects. */
  async end(): Promise<void> {
    // Statements that wait for `begin` are sent before the rollback.
    await this.#begun.catch(() => undefined)
    if (!this.#hasEnded) await this.#rollBack()
  }

  /** @returns whether the server confirmed the rollback; if not, the connection is broken */
  async #rollBack(): Promise<boolean> {
    this.#hasEnded = true
    if (this.#connection.isBroken) return false
    return this.#connection.send('rollback').then(
      () => true,
      (error: Error) => {
        this.#connection.breakWith(error)
        return false
      },
    )
  }

  /** The first failure of the transaction explains those of the statements that were sent after it. */
  #fail(error: Error): never {
    return rethrowNotWritten(this.#connection.failure ?? error)
  }

  #refuseIfEnded(): void {
    this.#refuseIfFailed()
    if (this.#hasEnded) throw new DatabaseError('The transaction has already ended')
  }

  #refuseIfFailed(): void {
    const { failure } = this.#connection
    if (failure !== undefined) rethrowNotWritten(failure)
  }
}
