// A client of the pool that breaks its connection if the server does not answer in time.
//
// pg's own `query_timeout` keeps values and rows in memory for too long: for each query, it assigns a function literal to a
// property, and V8 allocates such functions in the old generation.
import { Socket } from 'node:net'
import pg from 'pg'

/** The longest timer of Node. */
const NO_TIMEOUT_MS = 2 ** 31 - 1

export type Answered<Row extends pg.QueryResultRow> = (
  error: Error | null,
  result: pg.QueryResult<Row>,
) => void

interface SentQuery {
  readonly sentAtMs: number
}

export class TimedClient extends pg.Client {
  readonly #socket: Socket
  readonly #timeoutMs: number
  /** pg applies the app's time-out to each query that has none of its own. */
  readonly #hasDefaultTimeout = Boolean(pg.defaults.query_timeout)
  /** In the order in which the server answers them. */
  readonly #unanswered = new Set<SentQuery>()
  #isWatching = false

  /** @param timeoutMs the longest wait for an answer; 0 for no limit */
  constructor(config: pg.PoolConfig | undefined, timeoutMs: number) {
    const socket = new Socket()
    super({ ...config, stream: () => socket })
    this.#socket = socket
    this.#timeoutMs = timeoutMs
  }

  /** Sends a query without waiting for the answers to those before it. */
  send<Row extends pg.QueryResultRow>(query: pg.QueryConfig, callback: Answered<Row>): void {
    const sent: SentQuery = { sentAtMs: performance.now() }
    this.#unanswered.add(sent)
    if (this.#timeoutMs !== 0 && !this.#isWatching) this.#watch(this.#timeoutMs)
    const config = this.#hasDefaultTimeout ? { ...query, query_timeout: NO_TIMEOUT_MS } : query
    this.query<Row>(config, (error: Error | null, result) => {
      this.#unanswered.delete(sent)
      callback(error, result)
    })
  }

  /** One timer for all queries. It is not cleared: a timer for each query would cost more. */
  #watch(delayMs: number): void {
    this.#isWatching = true
    setTimeout(() => this.#check(), delayMs).unref()
  }

  #check(): void {
    this.#isWatching = false
    const [oldest] = this.#unanswered
    if (oldest === undefined) return
    const remainingMs = oldest.sentAtMs + this.#timeoutMs - performance.now()
    // pg fails all unanswered queries with the error, and emits it.
    if (remainingMs <= 0) this.#socket.destroy(new Error(`No answer within ${this.#timeoutMs} ms`))
    else this.#watch(remainingMs)
  }
}

/** The pool constructs no other clients. */
export function toTimed<Client extends pg.ClientBase>(client: Client): Client & TimedClient {
  if (client instanceof TimedClient) return client
  throw new TypeError('The pool returned a client that has no time-out')
}
