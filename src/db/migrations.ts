// Migrates the table and its indexes with the files of sql/, in the order of their names. The schema `sms_retry` records
// which were applied. The queue's schema is migrated by queue-migration.ts.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { DatabaseConfig } from '../config/config.ts'
import { DatabaseError, SchemaError } from '../shared/errors.ts'
import {
  appliedMigrations,
  BOOKKEEPING,
  BOOKKEEPING_SCHEMA,
  migrationNames,
  MIGRATIONS_DIRECTORY,
  readTableState,
  schemaError,
  TABLE_MIGRATION,
} from './bookkeeping.ts'
import { isAnswer } from '../postgres/database-failure.ts'
import { explainTooLargeId, readTooLargeId } from './largest-id.ts'
import { connectionOptions, dbOfCaller, searchPath } from '../postgres/pool.ts'
import { MIGRATION_SETTINGS } from '../postgres/session-settings.ts'

/** An arbitrary number that all versions of sms-retry share. */
const LOCK_ID = 7_367_214_601
const LOCK_POLL_MS = 200
const LOCK_TIMEOUT_MS = 600_000

/**
 * Runs `work` on its own connection while no other process migrates this database. The lock is polled. A session that
 * waits in pg_advisory_lock holds a snapshot, and CREATE INDEX CONCURRENTLY in the other process waits for that snapshot:
 * a deadlock.
 */
export async function whileMigrating<T>(
  config: DatabaseConfig,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ ...connectionOptions(config), application_name: 'sms-retry migrate' })
  // Without a listener, a lost connection would end the process. The running statement fails as well.
  client.on('error', () => undefined)
  await client.connect().catch((error: Error) => {
    throw new DatabaseError(`The database cannot be reached: ${error.message}`, { cause: error })
  })
  try {
    await client.query(searchPath(config) + MIGRATION_SETTINGS)
    const deadlineMs = performance.now() + LOCK_TIMEOUT_MS
    while (!(await tryLock(client))) {
      if (performance.now() > deadlineMs)
        throw new SchemaError(
          'Another migration of this database has been running for 10 minutes. Try again when it has ended',
        )
      await sleep(LOCK_POLL_MS)
    }
    return await work(client)
  } finally {
    // Ends the session, which releases the lock.
    await client.end()
  }
}

async function tryLock(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ locked: boolean }>(`select pg_try_advisory_lock($1) as "locked"`, [
    LOCK_ID,
  ])
  return rows[0]?.locked === true
}

/**
 * Applies the missing migrations, and restores indexes, columns or a table that were lost. Safe to run at any time.
 *
 * @returns the names of the migrations that were applied
 * @throws SchemaError if PostgreSQL refuses one, with what to do, such as how to find the rows that violate an index
 * @throws DatabaseError if the server ends the connection
 */
export function migrateTable(client: pg.Client): Promise<string[]> {
  return applyMissing(client).catch((error: unknown) => {
    throw explain(error)
  })
}

async function applyMissing(client: pg.Client): Promise<string[]> {
  const db = dbOfCaller(client)
  const state = await readTableState(db)
  if (state.kind === 'elsewhere') throw schemaError(state)
  const tooLarge = await readTooLargeId(db)
  if (tooLarge !== null) throw new SchemaError(explainTooLargeId(tooLarge).join('. '))
  await dropInvalidIndexes(client)
  await client.query(`create schema if not exists ${BOOKKEEPING_SCHEMA}`)
  await client.query(
    `create table if not exists ${BOOKKEEPING} (name text primary key, run_at timestamptz not null default now())`,
  )
  const applied = await appliedMigrations(db)
  const lost = new Set((await findLost(client)).map(([migration]) => migration))
  const missing = (await migrationNames()).filter((name) => !applied.has(name) || lost.has(name))
  for (const name of missing) await applyMigration(client, name)
  // Every process reads this row; restored here if it was deleted.
  await client.query(`insert into ${BOOKKEEPING_SCHEMA}.account_state default values on conflict do nothing`)
  await recordSchema(client)
  // `if not exists` also accepts an index of another table in this schema.
  const taken = (await findLost(client)).map(([, name]) => name)
  if (taken.length > 0) {
    throw new SchemaError(
      `Another table has an index with the name ${taken.join(', ')}. Rename or drop that index, then migrate again.`,
    )
  }
  return missing
}

/** Updates the recorded schema of a table that was moved, or lost and created again in another schema. */
async function recordSchema(client: pg.Client): Promise<void> {
  await client.query(
    `update ${BOOKKEEPING} as m set table_schema = n.nspname
       from pg_class c
       join pg_namespace n on n.oid = c.relnamespace
      where c.oid = 'sms_usage_logs'::regclass and m.table_schema <> n.nspname`,
  )
}

/** A file that begins with `-- no transaction` runs outside a transaction, as CREATE INDEX CONCURRENTLY requires. */
async function applyMigration(client: pg.Client, name: string): Promise<void> {
  const sql = await readFile(join(MIGRATIONS_DIRECTORY, `${name}.sql`), 'utf8')
  const inTransaction = !sql.startsWith('-- no transaction')
  try {
    if (inTransaction) await client.query('begin')
    await client.query(sql)
    // Outside a transaction this insert may be lost. Then the file, which says `if not exists`, runs once more.
    await client.query(`insert into ${BOOKKEEPING} (name) values ($1) on conflict do nothing`, [name])
    if (inTransaction) await client.query('commit')
  } catch (error) {
    // Throw the first error, not that of a rollback on a lost connection.
    if (inTransaction) await client.query('rollback').catch(() => undefined)
    throw error
  }
}

const IDEMPOTENCY_KEY_INDEX = 'idx_sms_usage_logs_idempotency_key_is_unique'

/** The migrations that build one index each. */
const INDEX_OF_MIGRATION: ReadonlyMap<string, string> = new Map([
  ['002-retry-index', 'idx_sms_usage_logs_retry'],
  ['003-twilio-sid-index', 'idx_sms_usage_logs_twilio_message_sid_is_unique'],
  ['004-idempotency-key-index', IDEMPOTENCY_KEY_INDEX],
  ['005-in-flight-index', 'idx_sms_usage_logs_in_flight'],
  ['006-reconcile-index', 'idx_sms_usage_logs_reconcile'],
  ['007-phone-number-index', 'idx_sms_usage_logs_phone_number'],
  ['010-time-index', 'idx_sms_usage_logs_time'],
  ['016-trouble-index', 'idx_sms_usage_logs_trouble'],
])
export const INDEX_NAMES = [...INDEX_OF_MIGRATION.values()]

type Part = readonly [migration: string, name: string]

/** The columns and indexes that the migrations add to the table, each with its migration. */
const PARTS: readonly Part[] = [
  [TABLE_MIGRATION, 'retry_count'],
  [TABLE_MIGRATION, 'max_retries'],
  [TABLE_MIGRATION, 'next_retry_at'],
  [TABLE_MIGRATION, 'twilio_message_sid'],
  [TABLE_MIGRATION, 'final_status'],
  ...INDEX_OF_MIGRATION,
]

/** An interrupted CREATE INDEX CONCURRENTLY leaves an invalid index, which PostgreSQL neither uses nor repairs. */
async function dropInvalidIndexes(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `select c.oid::regclass::text as "name"
       from pg_index i
       join pg_class c on c.oid = i.indexrelid
      where i.indrelid = to_regclass('sms_usage_logs') and not i.indisvalid and c.relname = any($1)
        and not exists (select from pg_stat_progress_create_index p where p.index_relid = i.indexrelid)`,
    [INDEX_NAMES],
  )
  for (const { name } of rows) await client.query(`drop index concurrently if exists ${name}`)
}

/** The missing parts: dropped by somebody, or not restored from a dump. */
async function findLost(client: pg.Client): Promise<Part[]> {
  const { rows } = await client.query<{ name: string }>(
    `select c.relname as "name"
       from pg_index i
       join pg_class c on c.oid = i.indexrelid
      where i.indrelid = to_regclass('sms_usage_logs')
     union all
     select attname from pg_attribute where attrelid = to_regclass('sms_usage_logs') and not attisdropped`,
  )
  const present = new Set(rows.map(({ name }) => name))
  return PARTS.filter(([, name]) => !present.has(name))
}

const UNIQUE_VIOLATION = '23505'
const LOCK_NOT_AVAILABLE = '55P03'
const NO_SCHEMA_TO_CREATE_IN = '3F000'

function explain(error: unknown): unknown {
  const { code, constraint } = error as { code?: string; constraint?: string }
  if (code === UNIQUE_VIOLATION) {
    const column =
      constraint === IDEMPOTENCY_KEY_INDEX ? "sms_metadata ->> 'idempotency_key'" : 'twilio_message_sid'
    return new SchemaError(
      `Several rows of sms_usage_logs share one ${column}. Find them with:\n` +
        `  select ${column}, count(*), min(id), max(id) from sms_usage_logs group by 1 having count(*) > 1 and ${column} is not null;\n` +
        'Clear the value in all but one of the rows, then migrate again.',
      { cause: error },
    )
  }
  if (code === LOCK_NOT_AVAILABLE) {
    return new SchemaError(
      'A long transaction is using sms_usage_logs, and the migration did not wait for it. Migrate again.',
      { cause: error },
    )
  }
  if (code === NO_SCHEMA_TO_CREATE_IN) {
    return new SchemaError(
      'The schema that DATABASE_URL (schema=...) or the search path of its role names does not exist. Create it, or ' +
        'correct the name. Then migrate again.',
      { cause: error },
    )
  }
  if (isAnswer(error)) {
    return new SchemaError(
      `PostgreSQL refuses the migration: ${error.message}\n` +
        'Migrate as the owner of sms_usage_logs. It must be an ordinary table, not partitioned and not a view. ' +
        'sms-retry doctor lists columns whose type does not fit.',
      { cause: error },
    )
  }
  if (error instanceof pg.DatabaseError) {
    return new DatabaseError(`The database failed: ${error.message}`, { cause: error })
  }
  return error
}
