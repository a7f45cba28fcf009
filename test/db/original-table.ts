// The table as users had it before sms-retry, and helpers for migration tests.
import { openDatabase } from '../../src/postgres/pool.ts'
import type { DatabaseConfig } from '../../src/config/config.ts'
import type { TestDatabase } from '../support/database.ts'

export const ORIGINAL_TABLE = `
  create table sms_usage_logs (
    id serial primary key,
    user_id integer not null,
    phone_number varchar(20) not null,
    message_direction varchar(10) not null,
    message_length integer not null,
    message_content text,
    success boolean default true,
    processing_time_ms integer,
    error_message text,
    sms_metadata jsonb,
    created_at timestamp default current_timestamp
  )`

/** The columns of sms-retry, as some users have added them: without a time zone. */
export const COLUMNS_WITHOUT_ZONE = `
  alter table sms_usage_logs
    add column retry_count integer default 0,
    add column max_retries integer default 3,
    add column next_retry_at timestamp,
    add column twilio_message_sid varchar(50),
    add column final_status varchar(20) default 'unknown'`

/** Rows of every kind that an app may have written, including unusual ones. */
export const ORIGINAL_ROWS = `
  insert into sms_usage_logs (
    user_id, phone_number, message_direction, message_length, message_content, success, processing_time_ms,
    error_message, sms_metadata, created_at)
  values
    (1, '+12065550101', 'outbound', 5, 'Hello', true, 120, null, '{"campaign": "may", "n": 12345678901234567890}',
     '2024-03-10 02:30:00'),
    (2, '+12065550102', 'outbound', 0, null, false, null, 'no route', null, '2024-11-03 01:30:00.123456'),
    (3, '+12065550103', 'inbound', 4, 'STOP', null, null, null, '["a", 1]', null),
    (4, '12345', 'outbound', 1, '', true, 0, '', '"text"', '1999-12-31 23:59:59')`

export function configOf(database: TestDatabase, poolMax = 4): DatabaseConfig {
  return { url: database.url, ssl: null, poolMax }
}

/** A connection of the app, in the form that the code under test uses. */
export function open(database: TestDatabase, poolMax = 4): ReturnType<typeof openDatabase> {
  return openDatabase(configOf(database, poolMax), () => undefined)
}

/** Changes whenever the table is rewritten. */
export async function fileOf(database: TestDatabase): Promise<string> {
  const [row] = await database.query<{ file: string }>(
    `select pg_relation_filenode('sms_usage_logs')::text as "file"`,
  )
  if (row === undefined) throw new Error('there is no table sms_usage_logs')
  return row.file
}

/** The table's indexes that the migrations create, and whether they are valid. */
export function indexesOf(database: TestDatabase): Promise<{ name: string; valid: boolean }[]> {
  return database.query(
    `select c.relname as "name", i.indisvalid and i.indisready as "valid"
       from pg_index i join pg_class c on c.oid = i.indexrelid
      where i.indrelid = 'sms_usage_logs'::regclass and not i.indisprimary
      order by 1`,
  )
}

/** The expected result of all migrations. */
export const ALL_INDEXES_VALID = [
  'idx_sms_usage_logs_idempotency_key_is_unique',
  'idx_sms_usage_logs_in_flight',
  'idx_sms_usage_logs_phone_number',
  'idx_sms_usage_logs_reconcile',
  'idx_sms_usage_logs_retry',
  'idx_sms_usage_logs_time',
  'idx_sms_usage_logs_trouble',
  'idx_sms_usage_logs_twilio_message_sid_is_unique',
].map((name) => ({ name, valid: true }))
