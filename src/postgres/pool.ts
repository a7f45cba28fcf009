// The database as the rest of the program sees it: one pool a process, every session with the settings that we rest on.
import pg from 'pg'
import type { DatabaseConfig } from '../config/config.ts'
import { columnTypes } from './column-types.ts'
import { type Connections, connectionsOf, limited, onConnection } from './connection.ts'
import { rethrowMaybeWritten } from './database-failure.ts'
import { PreparedStatements } from './prepared.ts'
import { RowReaders } from './row-reader.ts'
import { sessionSettings } from './session-settings.ts'
import {
  type Confirmation,
  type Db,
  inConfirmedTransaction,
  inTransaction,
  type RunTransaction,
  type Transaction,
} from './transaction.ts'

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
   * The same for what must not be done twice: if the answer to the commit gets lost, the database is asked whether the
   * result is there, for some seconds. Costs one short statement more.
   *
   * @throws DatabaseError whose `written` is `no`, or `unknown` if the database did not come back in time
   */
  confirmedTransaction<T>(work: (tx: Db) => Promise<T>, confirmation: Confirmation<T>): Promise<T>
  connections(): Connections
  /** Waits for statements under way. Can be called again. */
  close(): Promise<void>
}

const CONNECT_TIMEOUT_MS = 5_000

/** A database that hangs is taken for lost before Twilio's 15 seconds for a callback are over. */
const QUERY_TIMEOUT_MS = 8_000

/**
 * @param onTrouble told of what is not as it should be, and is got over: connections that break while nobody uses them
 *   (the pool replaces them), and prepared statements that get lost (it goes on without)
 * @param queryTimeoutMs the longest wait for an answer; 0 for no limit, to transactions neither, whatever the database's
 *   owner has set
 */
export function openDatabase(
  config: DatabaseConfig,
  onTrouble: (what: string, error: Error) => void,
  queryTimeoutMs = QUERY_TIMEOUT_MS,
): Database {
  const settings = searchPath(config) + sessionSettings(queryTimeoutMs)
  const pool = new pg.Pool({
    ...connectionOptions(config),
    max: config.poolMax,
    types: columnTypes,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    idleTimeoutMillis: 30_000,
    application_name: 'sms-retry',
    // SET rather than the `options` parameter, which PgBouncer does not accept.
    onConnect: async (client) => {
      forgetQueryTimeout(client)
      await client.query(limited({ text: settings }, { queryTimeoutMs }))
    },
  })
  pool.on('error', (error) => onTrouble('A database connection broke while it was not in use', error))
  // The pool hands a connection on without a listener, and whoever waits gets it a moment later: an end of the
  // connection that was read together with the last answer would end the process.
  pool.on('connect', (client) => client.on('error', () => undefined))
  const prepared = new PreparedStatements((error) =>
    onTrouble('Prepared statements got lost; the database is used without them, which costs more', error),
  )
  const source = { pool, prepared, rowReaders: new RowReaders(columnTypes), queryTimeoutMs }
  let closing: Promise<void> | undefined
  return {
    executeSql: <Row extends object>(text: string, values?: unknown[]) =>
      prepared
        .run(() => pool.query<Row>(limited(prepared.toQuery(text, values), source)))
        .catch(rethrowMaybeWritten),
    transaction: (work, lockTimeoutMs) =>
      prepared.run(() => onConnection(source, (on) => inTransaction(on, source, work, lockTimeoutMs))),
    confirmedTransaction: (work, confirmation) =>
      prepared.run(() => inConfirmedTransaction(source, work, confirmation)),
    connections: () => connectionsOf(pool),
    close: () => {
      closing ??= pool.end()
      return closing
    },
  }
}

/** One that the app has set, in the URL or in pg's defaults, would be one for a whole transaction. */
function forgetQueryTimeout(client: pg.ClientBase): void {
  const { connectionParameters } = client as unknown as { connectionParameters: { query_timeout: unknown } }
  connectionParameters.query_timeout = 0
}

/**
 * The statement that makes a session use the schema that the URL names as `schema`, as ORMs write it: that schema alone,
 * as with them. The driver does not know the parameter. Empty if there is none.
 */
export function searchPath(config: DatabaseConfig): string {
  const schema = URL.canParse(config.url) ? new URL(config.url).searchParams.get('schema') : null
  return schema === null ? '' : `set search_path = ${pg.escapeIdentifier(schema)};\n`
}

/** A connection of its own for migrations, which need session locks and longer statements. */
export function connectionOptions(config: DatabaseConfig): pg.ClientConfig {
  if (config.ssl === null) return { connectionString: config.url }
  // pg lets these in the URL override the `ssl` option, so they have to go.
  const url = new URL(config.url)
  for (const name of ['ssl', 'sslmode', 'sslnegotiation', 'uselibpqcompat']) url.searchParams.delete(name)
  const ssl = config.ssl === 'disable' ? false : { rejectUnauthorized: config.ssl === 'verify' }
  return { connectionString: url.toString(), ssl }
}

/** A transaction of the caller's: a pg client, or one of pg-boss's adapters for an ORM. */
export type CallerTransaction = Db | pg.ClientBase

export function dbOfCaller(db: CallerTransaction): Db {
  return 'executeSql' in db ? db : { executeSql: (text, values) => db.query(text, values) }
}
