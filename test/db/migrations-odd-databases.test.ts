// Tests migrations of unusual databases: objects in other schemas, lost objects, foreign objects, and time-outs.
import { describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { openDatabase } from '../../src/postgres/pool.ts'
import { DatabaseError, SchemaError } from '../../src/shared/errors.ts'
import { dumpSchema } from '../support/schema-dump.ts'
import { waitFor } from '../support/wait-for.ts'
import { databaseWith, failureOf, migrated, openSnapshot } from './migrating.ts'
import { ALL_INDEXES_VALID, configOf, indexesOf, ORIGINAL_ROWS, ORIGINAL_TABLE } from './original-table.ts'

/** Applies to all later sessions. */
const setForAll = (setting: string, value: string): string =>
  `do $$ begin
     execute format('alter database %I set ${setting} = ${value}', current_database());
   end $$`

test('a table in another schema of the search path is migrated, and no second one is created', async () => {
  const database = await databaseWith(
    ORIGINAL_TABLE,
    ORIGINAL_ROWS,
    'create schema app',
    setForAll('search_path', 'app, public'),
  )
  await migrated(database)
  const tables = await database.query(
    `select relnamespace::regnamespace::text as "schema" from pg_class where relname = 'sms_usage_logs'`,
  )
  expect(tables).toEqual([{ schema: 'public' }])
  expect(await indexesOf(database)).toEqual(ALL_INDEXES_VALID)
})

test.each([
  'retry_count',
  'max_retries',
  'next_retry_at',
  'twilio_message_sid',
  'final_status',
])('a lost column %s is restored with its indexes', async (column) => {
  const database = await databaseWith(ORIGINAL_TABLE, ORIGINAL_ROWS)
  await migrated(database)
  await database.query(`alter table sms_usage_logs drop column ${column}`)
  expect(await migrated(database)).toContain('001-message-table')
  await database.query(`select ${column} from sms_usage_logs`)
  expect(await indexesOf(database)).toEqual(ALL_INDEXES_VALID)
  expect(await migrated(database)).toEqual([])
})

test('a lost table is restored even if its migrations are recorded', async () => {
  const database = await databaseWith(ORIGINAL_TABLE)
  await migrated(database)
  const schema = await dumpSchema(database)
  await database.query('drop table sms_usage_logs')
  await migrated(database)
  expect(await dumpSchema(database)).toBe(schema)
})

test('a table restored from a backup before sms-retry is migrated even if its migrations are recorded', async () => {
  const database = await databaseWith()
  await migrated(database)
  const schema = await dumpSchema(database)
  await database.query('drop table sms_usage_logs')
  await database.query(ORIGINAL_TABLE)
  await database.query(ORIGINAL_ROWS)
  await migrated(database)
  expect(await dumpSchema(database)).toBe(schema)
})

test.each([
  'statement_timeout',
  'lock_timeout',
  'transaction_timeout',
  'idle_session_timeout',
])('%s of the database interrupts neither a migration that waits for a transaction, nor the next one', async (setting) => {
  const database = await databaseWith(ORIGINAL_TABLE, ORIGINAL_ROWS)
  const older = await openSnapshot(database)
  await database.query(setForAll(setting, '100'))
  const migrating = Promise.allSettled([migrated(database), migrated(database)])
  await waitFor('the time-out to be over for both', async () => {
    const sessions = await database.query(
      `select from pg_stat_activity
          where application_name = 'sms-retry migrate' and datname = current_database()
            and now() - backend_start > interval '1 second'`,
    )
    return sessions.length === 2
  })
  await older.close()
  expect((await migrating).map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled'])
  expect(await indexesOf(database)).toEqual(ALL_INDEXES_VALID)
})

test.each([
  [0, '0'],
  [60_000, '5s'],
])("a pool with an answer time-out of %i ms (0: none) changes the owner's time-outs of 5 s to %s", async (timeoutMs, expected) => {
  const database = await databaseWith(
    setForAll('statement_timeout', '5000'),
    setForAll('transaction_timeout', '5000'),
  )
  const opened = openDatabase(configOf(database), () => undefined, timeoutMs)
  const { rows } = await opened
    .executeSql(
      `select current_setting('statement_timeout') as "statement", current_setting('transaction_timeout') as "transaction"`,
    )
    .finally(() => opened.close())
  expect(rows).toEqual([{ statement: expected, transaction: expected }])
})

test('a migration names our indexes that another table has, until they are renamed', async () => {
  const database = await databaseWith(ORIGINAL_TABLE)
  await migrated(database)
  await database.query('alter table sms_usage_logs rename to sms_usage_logs_2024')
  await database.query('drop index idx_sms_usage_logs_retry')
  const failure = (await failureOf(database)) as Error
  expect(failure).toBeInstanceOf(SchemaError)
  expect(failure.message).toMatch(
    / idx_sms_usage_logs_twilio.*, idx_sms_usage_logs_time, idx_sms_usage_logs_trouble\. Rename or drop that index/,
  )
  expect(failure.message).not.toContain('idx_sms_usage_logs_retry')
  expect(await failureOf(database)).toEqual(failure)
  await database.query('drop table sms_usage_logs_2024')
  await migrated(database)
  expect(await indexesOf(database)).toEqual(ALL_INDEXES_VALID)
})

const VIEW = `
  create table message (like sms_usage_logs);
  drop table sms_usage_logs;
  create view sms_usage_logs as select * from message`
const PARTITIONED = `
  create table message (like sms_usage_logs) partition by range (created_at);
  drop table sms_usage_logs;
  alter table message rename to sms_usage_logs`
const LET_ANYBODY_CREATE = `
  do $$ begin
    execute format('grant create on database %I to public', current_database());
  end $$`

test.each([
  ['a view', 'ADD COLUMN', [VIEW]],
  ['a partitioned table', 'partitioned table', [PARTITIONED]],
  ['metadata that is text', 'text', ['alter table sms_usage_logs alter column sms_metadata type text']],
  ["another role's table", 'must be owner', [LET_ANYBODY_CREATE, setForAll('role', 'pg_monitor')]],
  ["another role's database", 'permission denied', [setForAll('role', 'pg_monitor')]],
  ['a database that is read only', 'read-only', [setForAll('default_transaction_read_only', 'on')]],
])('the migration of %s fails with what PostgreSQL says and what to do', async (_what, says, statements) => {
  const failure = await failureOf(await databaseWith(ORIGINAL_TABLE, ...statements))
  expect(failure).toBeInstanceOf(SchemaError)
  const { message, cause } = failure as Error
  expect(cause).toBeInstanceOf(pg.DatabaseError)
  expect(message).toContain(`refuses the migration: ${(cause as Error).message}\n`)
  expect(message).toContain(says)
  expect(message).toContain('Migrate as the owner')
})

describe('the migration of the queue', () => {
  /** Only pg-boss's migration creates a type, so this blocks it alone. */
  const onNewType = (statement: string): string => `
    create function on_new_type() returns event_trigger language plpgsql as $$ begin ${statement}; end $$;
    create event trigger on_new_type on ddl_command_start when tag in ('CREATE TYPE') execute function on_new_type()`

  test('fails with what to do, and succeeds later', async () => {
    const database = await databaseWith(onNewType("raise 'no types here'"))
    const failure = (await failureOf(database)) as Error
    expect(failure).toBeInstanceOf(SchemaError)
    expect(failure.cause).toBeInstanceOf(pg.DatabaseError)
    expect(failure.message).toMatch(/refuses the queue's migration: no types here\nMigrate as a role that/)
    await database.query('drop event trigger on_new_type')
    expect(await failureOf(database)).toBeNull()
  })

  test('fails with DatabaseError if the database ends the connection', async () => {
    const database = await databaseWith(onNewType('perform pg_terminate_backend(pg_backend_pid())'))
    const failure = (await failureOf(database)) as Error
    expect(failure).toBeInstanceOf(DatabaseError)
    expect(failure.message).toMatch(/^The database failed: /)
  })
})
