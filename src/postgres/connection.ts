// One connection of the pool, from checkout to release, and the statements that are sent on it.
import type pg from 'pg'
import { isAnswer, rethrowFailed } from './database-failure.ts'
import { isLostStatement, type PreparedStatements } from './prepared.ts'
import { type TimedClient, toTimed } from './timed-client.ts'

export interface ConnectionSource {
  readonly pool: pg.Pool
  readonly prepared: PreparedStatements
}

export class Connection {
  readonly #client: TimedClient
  readonly #prepared: PreparedStatements
  #failure: Error | undefined
  #isBroken = false

  constructor(client: TimedClient, prepared: PreparedStatements) {
    this.#client = client
    this.#prepared = prepared
  }

  /** Checks out a connection for `use`. */
  static async with<T>(source: ConnectionSource, use: (connection: Connection) => Promise<T>): Promise<T> {
    // Without a connection, no statement was sent, so nothing was written.
    const client = toTimed(await source.pool.connect().catch(rethrowFailed))
    const connection = new Connection(client, source.prepared)
    const onError = (error: Error): void => connection.breakWith(error)
    // An error event without a listener would end the process, also between two statements.
    client.on('error', onError)
    try {
      return await use(connection)
    } finally {
      client.off('error', onError)
      if (client.getTransactionStatus() !== 'I')
        connection.breakWith(new Error('A transaction is still open'))
      client.release(connection.#isBroken ? connection.#failure : undefined)
    }
  }

  /** The first failure of a statement or of the connection. */
  get failure(): Error | undefined {
    return this.#failure
  }

  /** Whether the pool closes the connection on release. */
  get isBroken(): boolean {
    return this.#isBroken
  }

  breakWith(error: Error): void {
    this.#failure ??= error
    this.#isBroken = true
  }

  /** Sends a statement without waiting for the answers to those before it. */
  send<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<pg.QueryResult<Row>> {
    return new Promise((resolve, reject) => {
      this.#client.send<Row>(this.#prepared.toQuery(text, values), (error, result) => {
        if (error === null) return resolve(result)
        this.#failure ??= error
        // Either the server did not answer the statement, or it has lost a prepared one. pg and the server may then
        // disagree about the prepared statements.
        if (!isAnswer(error) || isLostStatement(error)) this.breakWith(error)
        reject(error)
      })
    })
  }
}

export interface Connections {
  readonly total: number
  readonly idle: number
  /** Callers that wait for a connection. */
  readonly waiting: number
}

export function connectionsOf({
  totalCount: total,
  idleCount: idle,
  waitingCount,
  options,
}: pg.Pool): Connections {
  // pg counts a new caller as waiting for a moment, even if a connection is free or can be opened.
  return { total, idle, waiting: Math.max(0, waitingCount - idle - (options.max - total)) }
}
