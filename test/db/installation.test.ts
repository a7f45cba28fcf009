// Tests that a database has one installation: migrate and every process refuse a second table.
import { describe, expect, test } from '@jest/globals'
import { readTableState } from '../../src/db/bookkeeping.ts'
import { SchemaError } from '../../src/shared/errors.ts'
import { openRuntime } from '../../src/processes/runtime.ts'
import { openSender } from '../../src/processes/sender.ts'
import { startWeb } from '../../src/http/web.ts'
import { runWorker } from '../../src/processes/worker.ts'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import type { TestDatabase } from '../support/database.ts'
import { callbackFields, newSid, postSigned } from '../support/callbacks.ts'
import { startCli } from '../support/process.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { databaseWith, failureOf, migrated } from './migrating.ts'
import { open, ORIGINAL_TABLE } from './original-table.ts'

const nameOf = ({ url }: TestDatabase): string => new URL(url).pathname.slice(1)

/** Applies to all later sessions, except that of the test. */
const lookIn = (database: TestDatabase, path: string): Promise<unknown> =>
  database.query(`alter database ${nameOf(database)} set search_path = ${path}`)

async function stateOf(database: TestDatabase): ReturnType<typeof readTableState> {
  const opened = open(database, 1)
  return readTableState(opened).finally(() => opened.close())
}

/** A database whose installation is in the schema app1, while the search path names the schema app2. */
async function databaseOfTwo(...inApp2: string[]): Promise<TestDatabase> {
  const database = await databaseWith('create schema app1', 'create schema app2')
  await lookIn(database, 'app1')
  await migrated(database)
  for (const statement of inApp2) await database.query(statement)
  await lookIn(database, 'app2')
  return database
}

const COPY = 'create table app2.sms_usage_logs (like app1.sms_usage_logs including all)'

const tablesOf = (database: TestDatabase): Promise<{ schema: string }[]> =>
  database.query(
    `select relnamespace::regnamespace::text as "schema" from pg_class where relname = 'sms_usage_logs' order by 1`,
  )

describe('migrate', () => {
  test.each([
    ['without a table yet', [], 'does not find it', [{ schema: 'app1' }]],
    [
      'with a table of its own',
      [ORIGINAL_TABLE.replace('sms_usage_logs', 'app2.sms_usage_logs')],
      'finds another table in the schema app2',
      [{ schema: 'app1' }, { schema: 'app2' }],
    ],
  ])('refuses a second installation %s, names both schemas, and changes nothing', async (_what, statements, says, tables) => {
    const database = await databaseOfTwo(...statements)
    const failure = (await failureOf(database)) as Error
    expect(failure).toBeInstanceOf(SchemaError)
    expect(failure.message).toContain(`installation is in the schema app1, but the search path ${says}`)
    expect(failure.message).toContain('a database of its own')
    expect(await tablesOf(database)).toEqual(tables)
    await lookIn(database, 'app1')
    expect(await stateOf(database)).toEqual({ kind: 'current' })
  })

  test('refuses a second installation even if the schema of the first is not recorded', async () => {
    const database = await databaseOfTwo()
    await database.query(`delete from sms_retry.migrations where name = '012-installation'`)
    await database.query('alter table sms_retry.migrations drop column table_schema')
    expect(await failureOf(database)).toBeInstanceOf(SchemaError)
    await lookIn(database, 'app1')
    expect(await migrated(database)).toEqual(['012-installation'])
    expect(await stateOf(database)).toEqual({ kind: 'current' })
  })

  test.each([
    ['a table that was moved to another schema', 'alter table app1.sms_usage_logs set schema app2'],
    ['a schema that was renamed', 'drop schema app2; alter schema app1 rename to app2'],
  ])('accepts %s', async (_what, statement) => {
    const database = await databaseOfTwo(statement)
    expect(await stateOf(database)).toEqual({ kind: 'moved', installed: 'app1', found: 'app2' })
    expect(await migrated(database)).toEqual([])
    expect(await stateOf(database)).toEqual({ kind: 'current' })
  })

  test('accepts a copy in another schema after the old table was renamed', async () => {
    const database = await databaseOfTwo(COPY, 'alter table app1.sms_usage_logs rename to sms_usage_logs_old')
    await migrated(database)
    expect(await stateOf(database)).toEqual({ kind: 'current' })
  })

  test('creates a lost table again, and records its schema', async () => {
    const database = await databaseOfTwo('drop table app1.sms_usage_logs')
    expect(await stateOf(database)).toEqual({ kind: 'outdated', missing: ['001-message-table'] })
    await migrated(database)
    expect(await tablesOf(database)).toEqual([{ schema: 'app2' }])
    expect(await stateOf(database)).toEqual({ kind: 'current' })
  })
})

describe('a process that finds the table of another schema', () => {
  async function envOf(database: TestDatabase): Promise<Record<string, string>> {
    return {
      DATABASE_URL: database.url,
      PORT: `${await freePort()}`,
      HOST: '127.0.0.1',
      PUBLIC_BASE_URL: 'https://sms.example.com',
      TWILIO_ACCOUNT_SID: `AC${'0'.repeat(32)}`,
      TWILIO_AUTH_TOKEN: '0'.repeat(32),
      TWILIO_FROM_NUMBER: '+12065550100',
      METRICS_TOKEN: '',
    }
  }

  test.each([
    ['sender', openSender],
    ['worker', runWorker],
  ])('does not start (%s)', async (_role, start: (
    runtime: ReturnType<typeof openRuntime>,
  ) => Promise<unknown>) => {
    const env = await envOf(await databaseOfTwo(COPY))
    const starting = start(openRuntime({ logger: silentLogger }, env, ['DATABASE_URL']))
    await expect(starting).rejects.toThrow(SchemaError)
    await expect(starting).rejects.toThrow(
      'in the schema app1, but the search path finds another table in the schema app2',
    )
  })

  test('is not ready, and accepts no callback (web)', async () => {
    const env = await envOf(await databaseOfTwo(COPY))
    const publicBaseUrl = `http://127.0.0.1:${env['PORT']}`
    const options = { logger: silentLogger, publicBaseUrl }
    const web = await startWeb(openRuntime(options, env, ['DATABASE_URL', 'PUBLIC_BASE_URL']))
    const ready = await fetch(`${web.url}/readyz`)
    const fields = callbackFields(env['TWILIO_ACCOUNT_SID'] ?? '', newSid(), 'delivered')
    const callback = await postSigned(
      env['TWILIO_AUTH_TOKEN'] ?? '',
      `${publicBaseUrl}/twilio/status?attempt=0&message=1`,
      fields,
    )
    await web.stop()
    expect([ready.status, callback.status]).toEqual([503, 503])
  })

  test('is reported by doctor', async () => {
    const doctor = startCli(['doctor'], await envOf(await databaseOfTwo(COPY)))
    expect(await doctor.ended).toBe(1)
    expect(doctor.stdout()).toContain('finds another table in the schema app2')
  })
})

describe('ids above 2^53 - 1', () => {
  const MAX_SAFE = '9007199254740991'
  const BIGINT = ORIGINAL_TABLE.replace('id serial', 'id bigserial')
  const IDENTITY = ORIGINAL_TABLE.replace('id serial', 'id bigint generated by default as identity')
  const insert = (id: string): string =>
    `insert into sms_usage_logs (id, user_id, phone_number, message_direction, message_length) values (${id}, 1, '+12065550100', 'outbound', 5)`

  test.each([
    ['a row', [BIGINT, insert('9007199254740993')], 'A row of sms_usage_logs has the id 9007199254740993'],
    [
      'a sequence',
      [BIGINT, `select setval('sms_usage_logs_id_seq', 9007199254740992)`],
      'The sequence public.sms_usage_logs_id_seq generates the id 9007199254740992',
    ],
    [
      'an identity',
      [IDENTITY, 'alter table sms_usage_logs alter column id set start with 9007199254740992 restart'],
      'The sequence public.sms_usage_logs_id_seq generates the id 9007199254740992',
    ],
  ])('make migrate fail if they come from %s', async (_what, statements, says) => {
    const database = await databaseWith(...statements)
    const failure = (await failureOf(database)) as Error
    expect(failure).toBeInstanceOf(SchemaError)
    expect(failure.message).toContain(says)
    expect(failure.message).toContain('restart with')
  })

  test('do not include 2^53 - 1, which is accepted', async () => {
    const database = await databaseWith(BIGINT, insert(MAX_SAFE))
    expect(await failureOf(database)).toBeNull()
  })
})
