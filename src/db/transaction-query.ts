// A whole transaction as one query of pg's client. Its statements are sent without a Sync after each, so that the server
// answers as often as somebody waits for an answer, and not as often as there are statements; and what is asked for
// together, or with the commit, goes out in one system call. This is the pipelining of PostgreSQL's own protocol:
// https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
import type { Duplex } from 'node:stream'
import pg from 'pg'
import { DatabaseError } from '../errors.ts'
import type { PreparedStatements } from './prepared.ts'

export interface Statement {
  readonly text: string
  readonly values?: unknown[] | undefined
}

export interface Rows<Row> {
  readonly rows: Row[]
}

/** The part of pg's connection that pg's own queries, pg-cursor and pg-query-stream use as well. */
interface Wire {
  readonly stream: Duplex
  /** By their names: what the server has parsed, and what it was sent and has not answered yet. */
  readonly parsedStatements: Record<string, string>
  readonly submittedNamedStatements: Record<string, string>
  parse(statement: { readonly text: string; readonly name: string | undefined }): void
  bind(values: { readonly statement: string | undefined; readonly values: unknown[] }): void
  describe(portal: { readonly type: 'P'; readonly name: '' }): void
  execute(portal: Record<string, never>): void
  flush(): void
  sync(): void
}

/** How pg writes a JavaScript value for the server. Its types leave it out. */
const { prepareValue } = (pg as unknown as { utils: { prepareValue(value: unknown): unknown } }).utils

/** What pg's client needs of each query, besides the handlers of messages; its types leave most of it out. */
const ClientQuery = pg.Query as unknown as new (config: {
  readonly text: string
}) => { name: string | undefined; text: string; callback: (error: Error | null) => void }

type ToRow = (values: readonly (string | null)[]) => unknown

/** A statement that was sent and is not done yet. */
interface Sent {
  readonly text: string
  readonly name: string | undefined
  readonly rows: unknown[]
  /** Known from the last time on this connection, or when the server has described it; none if nobody reads them. */
  toRow: ToRow | undefined
  /** @param tag such as `INSERT 0 1` */
  done(rows: unknown[], tag: string): void
  failed(error: Error): void
}

/** How the rows of prepared statements are read, which the server need not describe each time. */
const readers = new WeakMap<Wire, Map<string, ToRow>>()

/** setTimeout takes 31 bits. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

export class TransactionQuery extends ClientQuery {
  readonly #prepared: PreparedStatements
  readonly #types: pg.CustomTypesConfig
  readonly #sent: Sent[] = []
  readonly #timeoutMs: number
  /** pg's own limit would be one for the whole transaction. There is no value for none. */
  readonly query_timeout = LONGEST_TIMER_MS
  #timer: NodeJS.Timeout | undefined
  #wire: Wire | undefined
  #failure: Error | undefined
  #isBegun = false
  #isEnded = false
  #isFlushDue = false

  /**
   * pg's client is to be given it next; it must not be given another query before this one has ended.
   *
   * @param timeoutMs the longest wait for an answer, after which the connection is given up; 0 for none
   */
  constructor(prepared: PreparedStatements, types: pg.CustomTypesConfig, timeoutMs: number) {
    super({ text: 'transaction' })
    this.#prepared = prepared
    this.#types = types
    this.#timeoutMs = timeoutMs
    this.callback = (error) => {
      clearTimeout(this.#timer)
      if (error !== null) this.#fail(error)
    }
  }

  /** What went wrong first; nothing is written then, unless it was the commit that failed. */
  get failure(): Error | undefined {
    return this.#failure
  }

  /**
   * Sends a statement, the first one together with `begin`. What is sent at once goes out in one system call.
   *
   * @throws DatabaseError if the transaction has ended or failed
   */
  execute<Row>(statement: Statement): Promise<Rows<Row>> {
    if (this.#isEnded) {
      return Promise.reject(new DatabaseError('The transaction is over', { cause: this.#failure }))
    }
    this.#limitWait()
    this.#flushSoon()
    return new Promise((resolve, reject) => {
      this.#send(statement, 'rows', (rows) => resolve({ rows: rows as Row[] }), reject)
    })
  }

  /** Sends these and the commit in one system call, and resolves when it is committed. */
  commit(last: readonly Statement[]): Promise<void> {
    this.#limitWait()
    this.#wire?.stream.cork()
    const committed = new Promise<void>((resolve, reject) => {
      for (const statement of last) this.#send(statement, 'no rows', () => undefined, reject)
      const done: Sent['done'] = (_rows, tag) => {
        if (tag === 'COMMIT') resolve()
        else reject(new DatabaseError('The database has rolled the transaction back'))
      }
      this.#send({ text: 'commit' }, 'no rows', done, reject)
    })
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

  #send(
    { text, values = [] }: Statement,
    wanted: 'rows' | 'no rows',
    done: Sent['done'],
    failed: Sent['failed'],
  ): void {
    if (!this.#isBegun) {
      this.#isBegun = true
      this.#send({ text: 'begin' }, 'no rows', () => undefined, failed)
    }
    const name = values.length === 0 ? undefined : this.#prepared.nameOf(text)
    const toRow = name === undefined ? undefined : this.#readers().get(name)
    this.#sent.push({ text, name, rows: [], toRow, done, failed })
    if (this.#sent.length === 1) this.#nameFirst()
    // Before anything is sent: a value that cannot be written is no statement.
    try {
      const written = values.map(prepareValue)
      this.#write(text, name, written, wanted === 'rows' && toRow === undefined)
    } catch (error) {
      this.#fail(error as Error)
    }
  }

  #write(text: string, name: string | undefined, values: unknown[], isToBeDescribed: boolean): void {
    const wire = this.#wire
    if (wire === undefined) return
    if (name === undefined || !(name in wire.parsedStatements || name in wire.submittedNamedStatements)) {
      wire.parse({ text, name })
      if (name !== undefined) wire.submittedNamedStatements[name] = text
    }
    wire.bind({ statement: name, values })
    if (isToBeDescribed) wire.describe({ type: 'P', name: '' })
    wire.execute({})
  }

  /** From now on, if an answer is outstanding at all. */
  #limitWait(): void {
    if (this.#timeoutMs === 0) return
    this.#timer ??= setTimeout(() => {
      if (this.#sent.length === 0) return
      this.#fail(new Error(`No answer within ${this.#timeoutMs} ms`))
      this.#wire?.stream.destroy()
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

  /** What was sent after a statement that failed is left out by the server, up to the Sync. */
  #fail(error: Error): void {
    this.#failure ??= error
    for (const { name, failed } of this.#sent.splice(0)) {
      if (name !== undefined) delete this.#wire?.submittedNamedStatements[name]
      failed(error)
    }
    this.end()
  }

  #readers(): Map<string, ToRow> {
    const known = this.#wire && readers.get(this.#wire)
    if (known !== undefined) return known
    const none = new Map<string, ToRow>()
    if (this.#wire !== undefined) readers.set(this.#wire, none)
    return none
  }

  /** pg's client notes by these what the server has parsed. */
  #nameFirst(): void {
    this.name = this.#sent[0]?.name
    this.text = this.#sent[0]?.text ?? ''
  }

  // What pg's client calls: first of all, and with the server's messages.

  submit(wire: Wire): null {
    this.#wire = wire
    return null
  }

  handleRowDescription({ fields }: { readonly fields: readonly pg.FieldDef[] }): void {
    const [first] = this.#sent
    if (first === undefined) return
    first.toRow = rowReader(fields, this.#types)
    if (first.name !== undefined) this.#readers().set(first.name, first.toRow)
  }

  handleDataRow({ fields }: { readonly fields: readonly (string | null)[] }): void {
    const [first] = this.#sent
    if (first?.toRow !== undefined) first.rows.push(first.toRow(fields))
  }

  handleCommandComplete({ text: tag }: { readonly text: string }): void {
    const first = this.#sent.shift()
    this.#nameFirst()
    first?.done(first.rows, tag)
  }

  handleError(error: Error): void {
    this.callback(error)
  }

  handleReadyForQuery(): void {
    this.callback(null)
  }
}

function rowReader(fields: readonly pg.FieldDef[], types: pg.CustomTypesConfig): ToRow {
  const names = fields.map(({ name }) => name)
  const parsers = fields.map(({ dataTypeID }) => types.getTypeParser(dataTypeID, 'text'))
  const empty = Object.fromEntries(names.map((name) => [name, null as unknown]))
  return (values) => {
    // With all its columns from the start, each row has the same shape, which V8 reads faster.
    const row = { ...empty }
    for (let i = 0; i < values.length; i += 1) {
      const value = values[i]
      if (typeof value === 'string') row[names[i] as string] = parsers[i]?.(value)
    }
    return row
  }
}
