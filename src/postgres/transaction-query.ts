// A whole transaction as one query of pg's client. Its statements are sent without a Sync after each, so that the server
// answers as often as somebody waits for an answer, and not as often as there are statements; and what is asked for
// together, or with the commit, goes out in one system call. This is the pipelining of PostgreSQL's own protocol:
// https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
import type pg from 'pg'
import { DatabaseError } from '../shared/errors.ts'
import type { PreparedStatements } from './prepared.ts'
import type { RowReader, RowReaders, Values } from './row-reader.ts'
import { type Wire, writeStatement } from './wire.ts'

export interface Statement {
  readonly text: string
  readonly values?: unknown[] | undefined
}

interface LastStatement extends Statement {
  readonly onRows: ((rows: readonly unknown[]) => void) | undefined
}

export interface Rows<Row> {
  readonly rows: Row[]
}

/** A statement that was sent and is not done yet. */
interface Sent {
  readonly text: string
  readonly name: string | undefined
  readonly rows: unknown[]
  /** Once the server has described them; none if nobody reads them. */
  reader?: RowReader
  /** @param tag such as `INSERT 0 1` */
  done(rows: unknown[], tag: string): void
  failed(error: Error): void
}

/**
 * No function is made for it that is assigned to a property (`query.callback = (error) => ...`, as pg's own queries have,
 * and as pg does itself to limit the wait): V8 makes such a function in the old generation at once, where it would keep
 * all that it refers to until the next collection of everything. A collection of the young generation then took
 * more than twice as long, while all callbacks wait.
 */
export class TransactionQuery implements pg.Submittable {
  /** The statement whose answer comes next: pg's client notes by these what the server has parsed. */
  name: string | undefined
  text = ''
  readonly #prepared: PreparedStatements
  readonly #readers: RowReaders
  readonly #timeoutMs: number
  readonly #begin: readonly string[]
  readonly #last: LastStatement[] = []
  readonly #sent: Sent[] = []
  #timer: NodeJS.Timeout | undefined
  #wire: Wire | undefined
  /** Set once the commit has been answered: the connection can be given back when the server is ready again. */
  #committed: (() => void) | undefined
  #failure: Error | undefined
  #isBegun = false
  #isCommitSent = false
  #isEnded = false
  #isFlushDue = false

  /**
   * pg's client is to be given it next; it must not be given another query before this one has ended.
   *
   * @param timeoutMs the longest wait for an answer, after which the connection is given up; 0 for none
   * @param begin the statements that it begins with
   */
  constructor(
    prepared: PreparedStatements,
    readers: RowReaders,
    timeoutMs: number,
    begin: readonly string[],
  ) {
    this.#prepared = prepared
    this.#readers = readers
    this.#timeoutMs = timeoutMs
    this.#begin = begin
  }

  /** What pg's own queries call in the end. Whoever traces pg waits for it. */
  callback(error: Error | null): void {
    clearTimeout(this.#timer)
    if (error !== null) this.#fail(error)
    else this.#committed?.()
  }

  /** What it failed with, even if it had been committed by then: the connection is worth nothing any more. */
  get failure(): Error | undefined {
    return this.#failure
  }

  /** Whether the server may have been told to commit. */
  get isCommitSent(): boolean {
    return this.#isCommitSent
  }

  /**
   * Sends a statement, the first one together with `begin`. What is sent at once goes out in one system call.
   *
   * @throws what the transaction failed with; DatabaseError if it is over
   */
  async execute<Row>(statement: Statement): Promise<Rows<Row>> {
    this.#refuseIfOver()
    this.#flushSoon()
    return new Promise((resolve, reject) => {
      this.#send(statement, 'rows', (rows) => resolve({ rows: rows as Row[] }), reject)
    })
  }

  /**
   * Notes a statement that goes out with the commit.
   *
   * @param onRows gets its rows, before the commit is answered; left out, they are not asked for
   * @throws what the transaction failed with; DatabaseError if it is over
   */
  executeAtCommit<Row>(statement: Statement, onRows?: (rows: readonly Row[]) => void): void {
    this.#refuseIfOver()
    // The caller knows what its statement selects.
    this.#last.push({ ...statement, onRows: onRows as LastStatement['onRows'] })
  }

  /**
   * Sends what was noted and the commit in one system call, and resolves when it is committed.
   *
   * @throws what the transaction failed with, also if the work has gone on as if it had not
   */
  async commit(): Promise<void> {
    this.#refuseIfOver()
    this.#wire?.stream.cork()
    const committed = new Promise<void>((resolve, reject) => {
      for (const { onRows, ...statement } of this.#last) {
        if (onRows === undefined) this.#send(statement, 'no rows', () => undefined, reject)
        else this.#send(statement, 'rows', onRows, reject)
      }
      const done: Sent['done'] = (_rows, tag) => {
        if (tag === 'COMMIT') this.#committed = resolve
        else reject(new DatabaseError('The database has rolled the transaction back'))
      }
      this.#send({ text: 'commit' }, 'no rows', done, reject)
    })
    this.#isCommitSent = this.#failure === undefined && this.#wire !== undefined
    this.end()
    this.#wire?.stream.uncork()
    return committed
  }

  /** The connection can be used for something else from now on: for a rollback, if there was no commit. */
  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#wire?.sync()
  }

  /** Ends the connection, without a word. */
  abandon(): void {
    this.#wire?.stream.destroy()
  }

  #refuseIfOver(): void {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#isEnded) throw new DatabaseError('The transaction is over')
  }

  #send(
    { text, values = [] }: Statement,
    wanted: 'rows' | 'no rows',
    done: Sent['done'],
    failed: Sent['failed'],
  ): void {
    if (!this.#isBegun) {
      this.#isBegun = true
      for (const text of this.#begin) this.#send({ text }, 'no rows', () => undefined, failed)
    }
    // The statement before it could not be written: nothing may follow.
    if (this.#failure !== undefined) {
      failed(this.#failure)
      return
    }
    const name = this.#prepared.nameOf(text)
    this.#sent.push({ text, name, rows: [], done, failed })
    if (this.#sent.length === 1) this.#nameFirst()
    this.#limitWait()
    try {
      if (this.#wire !== undefined) writeStatement(this.#wire, text, name, values, wanted === 'rows')
    } catch (error) {
      this.#giveUp(error as Error)
    }
  }

  /** From now on, while an answer is outstanding. */
  #limitWait(): void {
    if (this.#timeoutMs === 0) return
    this.#timer ??= setTimeout(() => {
      if (this.#sent.length > 0 || this.#committed !== undefined)
        this.#giveUp(new Error(`No answer within ${this.#timeoutMs} ms`))
    }, this.#timeoutMs)
    this.#timer.refresh()
  }

  /** When all has been sent that is sent at once. */
  #flushSoon(): void {
    const wire = this.#wire
    if (this.#isFlushDue || wire === undefined) return
    this.#isFlushDue = true
    wire.stream.cork()
    process.nextTick(() => {
      this.#isFlushDue = false
      if (!this.#isEnded) wire.flush()
      wire.stream.uncork()
    })
  }

  /** Whatever was sent after a statement that the server refused is left out by it, up to the Sync. */
  #fail(error: Error): void {
    this.#failure ??= error
    clearTimeout(this.#timer)
    this.#committed?.()
    for (const { name, failed } of this.#sent.splice(0)) {
      if (name !== undefined) delete this.#wire?.submittedNamedStatements[name]
      failed(error)
    }
    this.end()
  }

  /** What the server makes of what it was sent, nobody knows: it gets no more, and cannot commit. */
  #giveUp(error: Error): void {
    this.#isEnded = true
    this.#fail(error)
    this.abandon()
  }

  #nameFirst(): void {
    this.name = this.#sent[0]?.name
    this.text = this.#sent[0]?.text ?? ''
  }

  #endFirst(tag: string): void {
    const first = this.#sent.shift()
    if (first === undefined) return
    this.#nameFirst()
    this.#limitWait()
    first.done(first.rows, tag)
  }

  // What pg's client calls: first of all, and with the server's messages.

  submit(connection: unknown): void {
    this.#wire = connection as Wire
    // The connection was not ready when it was given to us, and what was sent meanwhile went nowhere.
    if (this.#sent.length > 0 || this.#isEnded) this.#giveUp(new Error('The connection was not ready'))
  }

  handleRowDescription({ fields }: { readonly fields: readonly pg.FieldDef[] }): void {
    const [first] = this.#sent
    if (first !== undefined) first.reader = this.#readers.readerFor(first.name, fields)
  }

  handleDataRow({ fields }: { readonly fields: Values }): void {
    const [first] = this.#sent
    if (first?.reader === undefined) return
    try {
      first.rows.push(first.reader.read(fields))
    } catch (error) {
      // A parser of the app's, for a type that column-types.ts does not have; or a time that is not in ISO format.
      this.#giveUp(error as Error)
    }
  }

  handleCommandComplete({ text: tag }: { readonly text: string }): void {
    this.#endFirst(tag)
  }

  handleCopyInResponse(): void {
    this.#giveUp(new Error('COPY is not for a transaction'))
  }

  handleCopyData(): void {
    this.handleCopyInResponse()
  }

  handleEmptyQuery(): void {
    this.#endFirst('')
  }

  handleError(error: Error): void {
    this.callback(error)
  }

  handleReadyForQuery(): void {
    if (this.#sent.length > 0) this.#giveUp(new Error('The server has left out an answer'))
    this.callback(null)
  }
}
