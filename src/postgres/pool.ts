// The database as the rest of the program sees it: one pool for each process, with the same settings in every session.
import pg from 'pg'
import type { DatabaseConfig } from '../config/config.ts'
import { columnTypes } from './column-types.ts'
import { type Confirmation, inConfirmedTransaction } from './confirmed-transaction.ts'
import { Connection, type Connections, connectionsOf, toQuery } from './connection.ts'
import { rethrowMaybeWritten } from './database-failure.ts'
import { PreparedStatements } from './prepared.ts'
import { sessionSettings } from './session-settings.ts'
import { type Db, inTransaction, type RunTransaction, type Transaction } from './transaction.ts'

export type { Db, RunTransaction, Transaction }

export interface Database extends Db {
  /**
   * Runs `work` in one transaction: committed if it returns, rolled back if it throws.
   *
   * @param lockTimeoutMs the longest wait for a lock; null for the session's
   * @throws DatabaseError if the database failed; whatever `work` throws otherwise
   */
  transaction: RunTransaction
  /**
   * The same for work that must not be done twice: if the answer to the commit gets lost, the database is asked for the
   * result, for some seconds. Costs one short statement more.
   *
   * @throws DatabaseError whose `written` is `no`, or `unknown` if the database did not come back in time
   */
  confirmedTransaction<T>(work: (tx: Db) => Promise<T>, confirmation: Confirmation<T>): Promise<T>
  connections(): Connections
  /** Waits for statements under way. Can be called again. */
  close(): Promise<void>
}

const CONNECT_TIMEOUT_MS = 5_000

/** Twilio waits 15 seconds for the answer to a callback: a database that hangs must count as lost before that. */
const QUERY_TIMEOUT_MS = 8_000

/**
 * @param onTrouble called for a problem that the pool recovers from: an idle connection breaks (the pool replaces it), or
 *   prepared statements get lost (for a minute, nothing is prepared)
 * @param queryTimeoutMs the longest wait for an answer; 0 for no limit, then not on a transaction either, whatever the
 *   database's owner has set
 */
export function openDatabase(
  config: DatabaseConfig,
  onTrouble: (what: string, error: Error) => void,
  queryTimeoutMs = QUERY_TIMEOUT_MS,
): Database {
  const prepared = new PreparedStatements((error) =>
    onTrouble('Prepared statements got lost; for a minute, statements are sent without them', error),
  )
  const settings = searchPath(config) + sessionSettings(queryTimeoutMs)
  const pool = new pg.Pool({
    ...connectionOptions(config),
    max: config.poolMax,
    pipeline: true,
    types: columnTypes,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    idleTimeoutMillis: 30_000,
    application_name: 'sms-retry',
    // SET rather than the `options` parameter, which PgBouncer does not accept.
    onConnect: async (client) => {
      await client.query(toQuery(source, settings))
    },
  })
  const source = { pool, prepared, queryTimeoutMs }
  pool.on('error', (error) => onTrouble('A database connection broke while it was not in use', error))
  // The pool hands a connection on a moment before the caller can listen: an end of the connection that was read together
  // with the last answer would end the process.
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
 * The statement that sets the schema that the URL names as `schema`, as ORMs write it. As with them, no other schema is
 * used. pg does not know the parameter. Empty if the URL has none.
 */
export function searchPath(config: DatabaseConfig): string {
  const schema = URL.canParse(config.url) ? new URL(config.url).searchParams.get('schema') : null
  return schema === null ? '' : `set search_path = ${pg.escapeIdentifier(schema)};\n`
}

/** Migrations use them too, for a connection of their own: they need session locks and longer statements. */
export function connectionOptions(config: DatabaseConfig): pg.ClientConfig {
  if (config.ssl === null) return { connectionString: config.url }
  // In the URL, these would override the `ssl` option.
  const url = new URL(config.url)
  for (const name of ['ssl', 'sslmode', 'sslnegotiation', 'uselibpqcompat']) url.searchParams.delete(name)
  const ssl = config.ssl === 'disable' ? false : { rejectUnauthorized: config.ssl === 'verify' }
  return { connectionString: url.toString(), ssl }
}

/** The caller's own transaction: a pg client, or one of pg-boss's adapters for an ORM. */
export type CallerTransaction = Db | pg.ClientBase

export function dbOfCaller(db: CallerTransaction): Db {
  return 'executeSql' in db ? db : { executeSql: (text, values) => db.query(text, values) }
}
