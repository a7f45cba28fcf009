// Connections: one pool a process, every session in UTC, and transactions that end one way or the other.
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { DatabaseConfig } from '../config.ts'
import { DatabaseError } from '../errors.ts'
import { throwCertain, throwNotConnected, throwUncertain } from './database-failure.ts'
import { PreparedStatements } from './prepared.ts'

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

export interface Database extends Db {
  /**
   * Runs `work` in one transaction: committed if it returns, rolled back if it throws.
   *
   * @throws DatabaseError if the database failed; whatever `work` throws otherwise
   */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>
  /**
   * The same for what must not be done twice: if the answer to the commit gets lost, the database is asked whether it
   * was committed, for some seconds. Costs one short statement more.
   *
   * @throws DatabaseError whose `written` is `no`, or `unknown` if the database did not come back in time
   */
  certainTransaction<T>(work: (tx: Db) => Promise<T>): Promise<T>
  connections(): Connections
  /** Waits for statements under way. Can be called again. */
  close(): Promise<void>
}

export interface Connections {
  readonly total: number
  readonly idle: number
  /** Who waits until somebody gives one back. */
  readonly waiting: number
}

const TIMESTAMP_WITHOUT_ZONE = 1114

/**
 * The column types of users' tables differ: `timestamp` and `timestamptz` are both read as UTC, which every
 * session of ours runs in.
 */
const types = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') =>
    oid === TIMESTAMP_WITHOUT_ZONE
      ? (text: string) => (text === 'infinity' ? Infinity : new Date(`${text.replace(' ', 'T')}Z`))
      : pg.types.getTypeParser(oid, format as 'text'),
} as pg.CustomTypesConfig

const CONNECT_TIMEOUT_MS = 5_000

/** A database that hangs is taken for lost before Twilio's 15 seconds for a callback are over. */
const QUERY_TIMEOUT_MS = 8_000

/** Below that: a statement that we have given up would go on waiting, and keep its connection, on the server. */
const LOCK_TIMEOUT_MS = 5_000

/**
 * Ours never pause in a transaction. A machine that dies in the middle of one says nothing, and the server would keep
 * its rows locked until TCP gives the connection up, after two hours by default.
 */
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 10_000

/** The server is to give up with us what we have given up; a shorter time-out of the database's owner stays. */
const sessionSettings = (queryTimeoutMs: number): string => `
  set time zone 'UTC';
  set lock_timeout = ${LOCK_TIMEOUT_MS};
  set idle_in_transaction_session_timeout = ${IDLE_IN_TRANSACTION_TIMEOUT_MS};
  select set_config('statement_timeout', '${queryTimeoutMs}', false)
    from pg_settings
   where name = 'statement_timeout' and (setting::bigint = 0 or setting::bigint > ${queryTimeoutMs}) and ${queryTimeoutMs} > 0`

/**
 * @param onTrouble told of what is not as it should be, and is got over: connections that break while nobody uses them
 *   (the pool replaces them), and prepared statements that get lost (it goes on without)
 * @param queryTimeoutMs for each statement; 0 for none
 */
export function openDatabase(
  config: DatabaseConfig,
  onTrouble: (what: string, error: Error) => void,
  queryTimeoutMs = QUERY_TIMEOUT_MS,
): Database {
  const settings = sessionSettings(queryTimeoutMs)
  const pool = new pg.Pool({
    ...connectionOptions(config),
    max: config.poolMax,
    types,
    // A statement need not wait for the answer to the one before it.
    pipeline: true,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: queryTimeoutMs,
    idleTimeoutMillis: 30_000,
    application_name: 'sms-retry',
    // SET rather than the `options` parameter, which PgBouncer does not accept.
    onConnect: async (client) => {
      await client.query(settings)
    },
  })
  pool.on('error', (error) => onTrouble('A database connection broke while it was not in use', error))
  // The pool hands a connection on without a listener, and whoever waits gets it a moment later: an end of the
  // connection that was read together with the last answer would end the process.
  pool.on('connect', (client) => client.on('error', () => undefined))
  const prepared = new PreparedStatements((error) =>
    onTrouble('Prepared statements got lost; the database is used without them, which costs more', error),
  )
  const transactions = { pool, prepared }
  let closing: Promise<void> | undefined
  return {
    executeSql: <Row extends object>(text: string, values?: unknown[]) =>
      prepared.run(() => pool.query<Row>(prepared.toQuery(text, values))).catch(throwUncertain),
    transaction: (work) => prepared.run(() => inTransaction(transactions, work)),
    certainTransaction: (work) => prepared.run(() => inCertainTransaction(transactions, work)),
    connections: () => connectionsOf(pool),
    close: () => {
      closing ??= pool.end()
      return closing
    },
  }
}

function connectionsOf({ totalCount: total, idleCount: idle, waitingCount, options }: pg.Pool): Connections {
  // Who has just asked counts as waiting for a moment, even if one is free or can be made.
  return { total, idle, waiting: Math.max(0, waitingCount - idle - (options.max - total)) }
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

interface Transactions {
  readonly pool: pg.Pool
  readonly prepared: PreparedStatements
}

async function inTransaction<T>(
  { pool, prepared }: Transactions,
  work: (tx: Transaction) => Promise<T>,
): Promise<T> {
  const client = await pool.connect().catch(throwNotConnected)
  // A connection that broke, or that has not answered in time, is in an unknown state: it is thrown away.
  let broken: Error | undefined
  const onError = (error: Error): void => {
    broken = error
  }
  const execute = <Row extends object>(text: string, values?: unknown[]): Promise<pg.QueryResult<Row>> =>
    client.query<Row>(prepared.toQuery(text, values)).catch((error: Error) => {
      if (!(error instanceof pg.DatabaseError)) broken = error
      throw error
    })
  // Without a listener, a connection that breaks between two statements would end the process.
  client.on('error', onError)
  const last: Statement[] = []
  const tx: Transaction = {
    executeSql: (text, values) => execute<never>(text, values).catch(throwCertain),
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
    const sent = inOneWrite(client, () => [...last, COMMIT].map(({ text, values }) => execute(text, values)))
    await untilCommitted(sent)
    return result
  } catch (error) {
    if (broken === undefined) await client.query('rollback').catch(onError)
    throw error
  } finally {
    client.off('error', onError)
    client.release(broken)
  }
}

/** What `send` sends at once goes out in one system call, and wakes the server once. */
function inOneWrite<T>({ connection }: pg.Client, send: () => T): T {
  const { stream } = connection
  stream.cork()
  try {
    return send()
  } finally {
    stream.uncork()
  }
}

interface Statement {
  readonly text: string
  readonly values: unknown[] | undefined
}

const COMMIT: Statement = { text: 'commit', values: undefined }

/** @param sent the last statements and the commit; after one that failed, the server rolls back instead */
async function untilCommitted(sent: readonly Promise<pg.QueryResult>[]): Promise<void> {
  const results = await Promise.allSettled(sent)
  const failed = results.find((result) => result.status === 'rejected')
  if (failed !== undefined) throwUncertain(failed.reason)
  const commit = results.at(-1)
  if (commit?.status === 'fulfilled' && commit.value.command === 'COMMIT') return
  throw new DatabaseError('The database has rolled the transaction back')
}

async function inCertainTransaction<T>(transactions: Transactions, work: (tx: Db) => Promise<T>): Promise<T> {
  let done: { readonly result: T; readonly transactionId: string } | undefined
  try {
    await inTransaction(transactions, async (tx) => {
      const [number, result] = await Promise.all([
        tx.executeSql<{ id: string }>('select txid_current()::text as "id"'),
        work(tx),
      ])
      done = { result, transactionId: number.rows[0]?.id ?? '' }
    })
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.written === 'no' || done === undefined) throw error
    const status = await untilKnown(transactions.pool, done.transactionId)
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

/** A transaction of the caller's: a pg client, or one of pg-boss's adapters for an ORM. */
export type CallerTransaction = Db | pg.ClientBase

export function dbOfCaller(db: CallerTransaction): Db {
  return 'executeSql' in db ? db : { executeSql: (text, values) => db.query(text, values) }
}
