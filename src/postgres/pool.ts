// Opens the database: one connection pool for each process, with the same settings in every session.
import pg from 'pg'
import type { DatabaseConfig } from '../config/config.ts'
import { columnTypes } from './column-types.ts'
import { type Confirmation, inConfirmedTransaction } from './confirmed-transaction.ts'
import { Connection, type Connections, connectionsOf } from './connection.ts'
import { rethrowMaybeWritten } from './database-failure.ts'
import { PreparedStatements } from './prepared.ts'
import { sessionSettings } from './session-settings.ts'
import { TimedClient, toTimed } from './timed-client.ts'
import { type Db, inTransaction, type RunTransaction, type Transaction } from './transaction.ts'

export { type CallerTransaction, dbOfCaller, inCallerTransaction } from './caller-transaction.ts'
export type { Db, RunTransaction, Transaction }

export interface Database extends Db {
  /**
   * Runs `work` in one transaction: committed if it returns, rolled back if it throws.
   *
   * @param lockTimeoutMs the longest wait for a lock; null for the lock time-out of the session
   * @throws DatabaseError if the database failed; whatever `work` throws otherwise
   */
  transaction: RunTransaction
  /**
   * Like `transaction`, for work that must not run twice. If the answer to the commit is lost, the database is checked
   * for some seconds to see whether the transaction was committed. This costs one more short statement.
   *
   * @throws DatabaseError whose `written` is `no`, or `unknown` if the database stayed unavailable
   */
  confirmedTransaction<T>(work: (tx: Transaction) => Promise<T>, confirmation: Confirmation<T>): Promise<T>
  connections(): Connections
  /** Waits for statements under way. Can be called again. */
  close(): Promise<void>
}

/**
 * Twilio waits 15 seconds for the answer to a callback. A database that hangs must time out before that: the connection
 * and the query together.
 */
const CONNECT_TIMEOUT_SECONDS = 5
const QUERY_TIMEOUT_MS = 8_000

/**
 * @param onWarning called for a problem that the pool recovers from, such as a broken idle connection
 * @param queryTimeoutMs the longest wait for an answer. 0 turns off this limit, and the time-outs that the database's
 *   owner has set for transactions
 */
export function openDatabase(
  config: DatabaseConfig,
  onWarning: (message: string, error: Error) => void,
  queryTimeoutMs = QUERY_TIMEOUT_MS,
): Database {
  const prepared = new PreparedStatements((error) =>
    onWarning('The server has lost prepared statements; no statement is prepared for the next minute', error),
  )
  const settings = searchPath(config) + sessionSettings(queryTimeoutMs)
  const pool = new pg.Pool({
    ...connectionOptions(config),
    max: config.poolMax,
    pipeline: true,
    Client: class extends TimedClient {
      constructor(options?: pg.PoolConfig) {
        super(options, queryTimeoutMs)
      }
    },
    types: columnTypes,
    connectionTimeoutMillis: 1000 * connectTimeoutSeconds(config),
    idleTimeoutMillis: 30_000,
    application_name: 'sms-retry',
    // SET rather than the `options` parameter, which PgBouncer does not accept.
    onConnect: async (client) => {
      await new Connection(toTimed(client), prepared).send(settings)
    },
  })
  const source = { pool, prepared }
  pool.on('error', (error) => onWarning('An idle database connection broke; the pool replaces it', error))
  // An error event without a listener ends the process, and the caller can add its listener only after it has received
  // the connection.
  pool.on('connect', (client) => client.on('error', () => undefined))
  let closing: Promise<void> | undefined
  return {
    executeSql: <Row extends object>(text: string, values?: unknown[]) =>
      prepared
        .run(() => Connection.with(source, (connection) => connection.send<Row & object>(text, values)))
        .catch(rethrowMaybeWritten),
    transaction: (work, lockTimeoutMs) => prepared.run(() => inTransaction(source, work, lockTimeoutMs)),
    confirmedTransaction: (work, confirmation) =>
      prepared.run(() => inConfirmedTransaction(source, work, confirmation)),
    connections: () => connectionsOf(pool),
    close: () => {
      closing ??= pool.end()
      return closing
    },
  }
}

/**
 * The statement that selects the schema named by the URL parameter `schema`. ORMs define this parameter; pg ignores it.
 * As with ORMs, no other schema is searched. Empty if the URL has no such parameter.
 */
export function searchPath(config: DatabaseConfig): string {
  const schema = parameterOf(config, 'schema')
  return schema === null ? '' : `set search_path = ${pg.escapeIdentifier(schema)};\n`
}

/** The longest wait for a connection, new or from the pool: the URL parameter `connect_timeout` of libpq, which pg ignores. */
function connectTimeoutSeconds(config: DatabaseConfig): number {
  return Number(parameterOf(config, 'connect_timeout') ?? CONNECT_TIMEOUT_SECONDS)
}

function parameterOf({ url }: DatabaseConfig, name: string): string | null {
  return URL.canParse(url) ? new URL(url).searchParams.get(name) : null
}

/** Migrations also use these options, for a connection of their own with session locks and longer time-outs. */
export function connectionOptions(config: DatabaseConfig): pg.ClientConfig {
  // In the URL, these would override our options.
  if (config.ssl === null) return { connectionString: without(['query_timeout'], config.url) }
  const ssl = config.ssl === 'disable' ? false : { rejectUnauthorized: config.ssl === 'verify' }
  const ignored = ['query_timeout', 'ssl', 'sslmode', 'sslnegotiation', 'uselibpqcompat']
  return { connectionString: without(ignored, config.url), ssl }
}

function without(parameters: readonly string[], text: string): string {
  if (!URL.canParse(text)) return text
  const url = new URL(text)
  for (const name of parameters) url.searchParams.delete(name)
  return url.toString()
}
