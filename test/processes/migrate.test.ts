// `sms-retry migrate` on empty databases, with the original table, with columns added by the app, after earlier
// migrations, and by two processes concurrently.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { readTableState } from '../../src/db/bookkeeping.ts'
import { migrate } from '../../src/processes/migrate.ts'
import {
  ALL_INDEXES_VALID,
  COLUMNS_WITHOUT_ZONE,
  configOf,
  fileOf,
  indexesOf,
  ORIGINAL_ROWS,
  ORIGINAL_TABLE,
  open,
} from '../db/original-table.ts'
import { runCliProcess } from '../cli/run-cli.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startCli } from '../support/process.ts'
import { dumpSchema } from '../support/schema-dump.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { waitFor } from '../support/wait-for.ts'

const ALL_MIGRATIONS = [
  '001-message-table',
  '002-retry-index',
  '003-twilio-sid-index',
  '004-idempotency-key-index',
  '005-in-flight-index',
  '006-reconcile-index',
  '007-phone-number-index',
  '008-send-rate',
  '009-due-watch',
  '010-time-index',
  '011-instances',
  '012-installation',
  '013-account-state',
  '014-instance-settings',
  '015-instance-activity',
  '016-trouble-index',
]

const databases: TestDatabase[] = []

async function databaseWith(...statements: string[]): Promise<TestDatabase> {
  const database = await createTestDatabase(null)
  databases.push(database)
  for (const statement of statements) await database.query(statement)
  return database
}

afterEach(async () => {
  for (const database of databases.splice(0)) await database.drop()
})

const migrated = (database: TestDatabase) => migrate(configOf(database), silentLogger)

async function isCurrent(database: TestDatabase): Promise<boolean> {
  const opened = open(database)
  const { kind } = await readTableState(opened).finally(() => opened.close())
  return kind === 'current'
}

/** The schema of an empty database. All other databases must get the same. */
let freshSchema: string
beforeAll(async () => {
  const template = await createTestDatabase()
  freshSchema = await dumpSchema(template).finally(() => template.drop())
})

describe('an empty database', () => {
  let database: TestDatabase
  let wasCurrent: boolean
  let applied: readonly string[]
  beforeAll(async () => {
    database = await createTestDatabase(null)
    wasCurrent = await isCurrent(database)
    applied = await migrated(database)
  })
  afterAll(() => database.drop())

  test('gets the table, its indexes and the queue', async () => {
    expect(wasCurrent).toBe(false)
    expect(applied).toEqual(ALL_MIGRATIONS)
    expect(await isCurrent(database)).toBe(true)
    expect(await indexesOf(database)).toEqual(ALL_INDEXES_VALID)
    expect(await database.query('select name from sms_retry_pgboss.queue order by name')).toEqual([
      { name: 'attempt' },
      { name: 'outcome' },
      { name: 'outcome_failed' },
      { name: 'reconcile' },
    ])
  })

  test('gets only the table, its sequence and its indexes in the schema public', async () => {
    const objects = await database.query<{ name: string }>(
      `select c.relname as "name" from pg_class c where c.relnamespace = 'public'::regnamespace
       union all select p.proname from pg_proc p where p.pronamespace = 'public'::regnamespace
       union all select t.typname from pg_type t
                  where t.typnamespace = 'public'::regnamespace and t.typrelid = 0 and t.typelem = 0
       order by 1`,
    )
    expect(objects.map(({ name }) => name)).toEqual([
      ...ALL_INDEXES_VALID.map(({ name }) => name),
      'sms_usage_logs',
      'sms_usage_logs_id_seq',
      'sms_usage_logs_pkey',
    ])
  })

  test('gets two schemas: one for bookkeeping, one for pg-boss', async () => {
    const schemas = await database.query<{ name: string }>(
      `select nspname as "name" from pg_namespace
        where nspname !~ '^pg_' and nspname not in ('information_schema', 'public') order by 1`,
    )
    expect(schemas.map(({ name }) => name)).toEqual(['sms_retry', 'sms_retry_pgboss'])
    const applied = await database.query<{ name: string }>(
      'select name from sms_retry.migrations order by name',
    )
    expect(applied.map(({ name }) => name)).toEqual(ALL_MIGRATIONS)
  })
})

describe('a database with the original table', () => {
  let database: TestDatabase
  let before: { readonly rows: object[]; readonly file: string }
  beforeAll(async () => {
    database = await createTestDatabase(null)
    for (const statement of [ORIGINAL_TABLE, ORIGINAL_ROWS]) await database.query(statement)
    before = await everything()
    await migrated(database)
  })
  afterAll(() => database.drop())

  const everything = async () => ({
    rows: await database.query(
      `select id, user_id, phone_number, message_direction, message_length, message_content, success,
              processing_time_ms, error_message, sms_metadata::text, created_at::text, xmin::text, ctid::text
         from sms_usage_logs order by id`,
    ),
    file: await fileOf(database),
  })

  test('keeps every row and its file on disk unchanged', async () => {
    expect(before.rows).toHaveLength(4)
    expect(await everything()).toEqual(before)
  })

  test('gets the added columns with their defaults, also in existing rows', async () => {
    const added = await database.query(
      `select distinct retry_count, max_retries, next_retry_at, twilio_message_sid, final_status
         from sms_usage_logs`,
    )
    expect(added).toEqual([
      {
        retry_count: 0,
        max_retries: 3,
        next_retry_at: null,
        twilio_message_sid: null,
        final_status: 'unknown',
      },
    ])
  })

  test('gets the same schema as an empty database', async () => {
    expect(await dumpSchema(database)).toBe(freshSchema)
  })
})

test('columns and indexes of the app stay', async () => {
  const database = await databaseWith(
    ORIGINAL_TABLE,
    'alter table sms_usage_logs add column campaign text',
    'create index idx_sms_usage_logs_campaign on sms_usage_logs (campaign)',
  )
  await migrated(database)
  const names = (await indexesOf(database)).map(({ name }) => name)
  expect(names).toContain('idx_sms_usage_logs_campaign')
  expect(names).toHaveLength(ALL_INDEXES_VALID.length + 1)
  expect(await dumpSchema(database)).toContain('campaign text')
})

test('existing columns without a time zone stay, and the file on disk is not rewritten', async () => {
  const database = await databaseWith(ORIGINAL_TABLE, COLUMNS_WITHOUT_ZONE, ORIGINAL_ROWS)
  const file = await fileOf(database)
  await migrated(database)
  expect(await fileOf(database)).toBe(file)
  expect(await indexesOf(database)).toEqual(ALL_INDEXES_VALID)
  const expected = freshSchema.replace(
    'next_retry_at timestamp with time zone',
    'next_retry_at timestamp without time zone',
  )
  expect(await dumpSchema(database)).toBe(expected)
})

test('migrating again applies nothing and changes nothing', async () => {
  const database = await databaseWith(ORIGINAL_TABLE, ORIGINAL_ROWS)
  await migrated(database)
  const state = async () => ({
    schema: await dumpSchema(database),
    file: await fileOf(database),
    rows: await database.query('select xmin::text, * from sms_usage_logs order by id'),
    bookkeeping: await database.query('select xmin::text, * from sms_retry.migrations order by name'),
    rate: await database.query('select xmin::text, * from sms_retry.send_rate'),
    indexes: await database.query(
      `select indexrelid::text from pg_index where indrelid = 'sms_usage_logs'::regclass order by 1`,
    ),
  })
  const before = await state()
  expect(await migrated(database)).toEqual([])
  expect(await state()).toEqual(before)
})

test('an older schema is not current until it is migrated', async () => {
  const database = await databaseWith(ORIGINAL_TABLE, ORIGINAL_ROWS)
  await migrated(database)
  const schema = await dumpSchema(database)
  // The schema of the version with the first five migrations.
  for (const statement of [
    'drop index idx_sms_usage_logs_reconcile, idx_sms_usage_logs_phone_number',
    'drop table sms_retry.send_rate, sms_retry.due_watch, sms_retry.instance, sms_retry.departed, sms_retry.account_state',
    `delete from sms_retry.migrations where name > '006'`,
    `delete from sms_retry_pgboss.queue where name = 'reconcile'`,
  ])
    await database.query(statement)
  expect(await isCurrent(database)).toBe(false)
  expect(await migrated(database)).toEqual(ALL_MIGRATIONS.slice(5))
  expect(await isCurrent(database)).toBe(true)
  expect(await dumpSchema(database)).toBe(schema)
  for (const table of ['send_rate', 'account_state'])
    expect(await database.query(`select only_row from sms_retry.${table}`)).toEqual([{ only_row: true }])
  const queues = await database.query<{ name: string }>('select name from sms_retry_pgboss.queue')
  expect(queues.map(({ name }) => name).toSorted()).toEqual([
    'attempt',
    'outcome',
    'outcome_failed',
    'reconcile',
  ])
})

describe('the command', () => {
  beforeAll(() => {
    // `npm test` builds first; this is for running this file alone.
    const root = fileURLToPath(new URL('../..', import.meta.url))
    if (!existsSync(`${root}/dist/cli.js`)) execFileSync('npm', ['run', 'build'], { cwd: root })
  })

  test('run by two processes concurrently applies everything once, and both succeed', async () => {
    const database = await databaseWith(ORIGINAL_TABLE, ORIGINAL_ROWS)
    // An old snapshot blocks CREATE INDEX CONCURRENTLY until both processes are waiting.
    const snapshot = new pg.Client({ connectionString: database.url })
    await snapshot.connect()
    await snapshot.query('begin isolation level repeatable read')
    await snapshot.query('select 1')
    const processes = [0, 1].map(() => startCli(['migrate'], { DATABASE_URL: database.url }))
    await waitFor('both processes, one of them inside an index build', async () => {
      const sessions = await database.query<{ wait_event: string | null }>(
        `select wait_event from pg_stat_activity
          where application_name = 'sms-retry migrate' and datname = current_database()`,
      )
      return sessions.length === 2 && sessions.some(({ wait_event }) => wait_event === 'virtualxid')
    })
    await snapshot.end()

    const exits = await Promise.all(processes.map(({ ended }) => ended))
    const words = processes.map(({ stderr }) => stderr().trim())
    expect({ exits, words: words.toSorted() }).toEqual({
      exits: [0, 0],
      words: [`Applied: ${ALL_MIGRATIONS.join(', ')}.`, 'The schema is up to date.'],
    })
    expect(processes.map(({ stdout }) => stdout())).toEqual(['', ''])
    expect(await dumpSchema(database)).toBe(freshSchema)
  })

  test('exits with 1 and one line, without a stack, if another table is in the way', async () => {
    const database = await databaseWith(
      ORIGINAL_TABLE,
      COLUMNS_WITHOUT_ZONE,
      ORIGINAL_ROWS,
      `update sms_usage_logs set twilio_message_sid = 'SM1'`,
    )
    const { code, stderr } = await runCliProcess(['migrate'], { DATABASE_URL: database.url })
    expect(code).toBe(1)
    expect(stderr).toContain('share one twilio_message_sid')
    expect(stderr).not.toMatch(/^\s+at /m)
  })

  test('exits with 1 and a message if its connection is cut', async () => {
    const database = await databaseWith(ORIGINAL_TABLE)
    const snapshot = new pg.Client({ connectionString: database.url })
    await snapshot.connect()
    await snapshot.query('begin isolation level repeatable read')
    await snapshot.query('select 1')
    const cli = startCli(['migrate'], { DATABASE_URL: database.url })
    await waitFor('the index build', async () => {
      const [cut] = await database.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
          where application_name = 'sms-retry migrate' and datname = current_database()
            and wait_event = 'virtualxid'`,
      )
      return cut
    })
    expect(await cli.ended).toBe(1)
    expect(cli.stderr()).not.toContain('Unhandled')
    expect(cli.stderr()).toMatch(/^The database failed: .*\n$/)
    await snapshot.end()
    expect(await migrated(database)).toEqual(ALL_MIGRATIONS.slice(1))
  })
})
