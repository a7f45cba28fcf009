// The checks of `doctor` for database, schema, queue and worker: each test breaks one thing.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { CLOSED_PORT } from '../support/closed-port.ts'
import { createTestDatabase, type TestDatabase, withParameter } from '../support/database.ts'
import { startWorld, type World } from '../support/world.ts'
import { examine, named, of } from './examine.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const OF_DATABASE = [
  'database',
  'server',
  'settings',
  'tls',
  'clock',
  'migrations',
  'table',
  'indexes',
  'queue',
  'sending',
  'backlog',
]

/** The findings for a new database after these statements. */
async function examineAfter(...statements: string[]): ReturnType<typeof examine> {
  const database = await createTestDatabase()
  for (const statement of statements) await database.query(statement)
  const found = await examine({ ...world.env, DATABASE_URL: database.url })
  await database.drop()
  return found
}

test('all database checks pass on a healthy database', async () => {
  const found = await examine(world.env)
  expect(named(found, 'ok')).toEqual(expect.arrayContaining(OF_DATABASE))
  expect(of(found, 'database')[0]?.what).toMatch(/^PostgreSQL \d+/)
})

describe('an unreachable database', () => {
  test('fails one check, skips the checks that depend on it, and runs the others', async () => {
    const url = `postgres://app:hunter2@127.0.0.1:${CLOSED_PORT}/app`
    const found = await examine({ ...world.env, DATABASE_URL: url })
    expect(named(found, 'failed')).toEqual(['database'])
    expect(named(found, 'skipped')).toEqual([...OF_DATABASE.slice(1), 'worker', 'outcomes'])
    expect(named(found, 'ok')).toEqual(['account', 'api-key', 'endpoint', 'signature'])
    expect(of(found, 'database')[0]).toMatchObject({
      what: expect.stringContaining('ECONNREFUSED'),
      fix: expect.stringMatching(/Start PostgreSQL/),
    })
    expect(JSON.stringify(found)).not.toContain('hunter2')
  })

  test.each<[what: string, change: Partial<Pick<URL, 'pathname' | 'hostname' | 'username'>>, fix: RegExp]>([
    ['an unknown database name', { pathname: '/nowhere' }, /Create the database/],
    ['an unknown host', { hostname: 'db.invalid' }, /cannot be resolved/],
    ['an unknown user', { username: 'nobody_here' }, /user and password/],
  ])('%s is reported with its fix', async (_what, change, fix) => {
    const url = Object.assign(new URL(world.database.url), change)
    const [finding] = of(await examine({ ...world.env, DATABASE_URL: url.toString() }), 'database')
    expect(finding).toMatchObject({ result: 'failed', fix: expect.stringMatching(fix) })
  })

  test('reports a certificate file that does not exist', async () => {
    const url = withParameter(world.database.url, 'sslrootcert', '/nowhere/root.crt')
    const [finding] = of(await examine({ ...world.env, DATABASE_URL: url }), 'database')
    expect(finding).toMatchObject({ result: 'failed', fix: expect.stringContaining('sslrootcert') })
  })

  test('reports a server without TLS if TLS is required', async () => {
    const [finding] = of(await examine({ ...world.env, DATABASE_SSL: 'require' }), 'database')
    expect(finding).toMatchObject({ result: 'failed', fix: expect.stringContaining('DATABASE_SSL') })
  })
})

test('a database without migrations fails with the names of all migrations', async () => {
  const database = await createTestDatabase(null)
  const found = await examine({ ...world.env, DATABASE_URL: database.url })
  await database.drop()
  expect(named(found, 'failed')).toEqual(['migrations', 'table', 'queue'])
  expect(named(found, 'skipped')).toEqual(['indexes', 'sending', 'backlog', 'worker', 'outcomes'])
  expect(of(found, 'migrations')[0]?.what).toMatch(/001-message-table, 002-retry-index,/)
  for (const name of ['migrations', 'table', 'queue'] as const) {
    expect(of(found, name)[0]?.fix).toBe('Run: sms-retry migrate')
  }
})

test('a single missing migration is named', async () => {
  const found = await examineAfter(`delete from sms_retry.migrations where name = '006-reconcile-index'`)
  expect(of(found, 'migrations')).toEqual([
    {
      name: 'migrations',
      result: 'failed',
      what: 'Migrations are missing: 006-reconcile-index',
      fix: 'Run: sms-retry migrate',
    },
  ])
})

test.each([
  [
    'invalid',
    `update pg_index set indisvalid = false where indexrelid = 'idx_sms_usage_logs_in_flight'::regclass`,
    /idx_sms_usage_logs_in_flight is invalid/,
  ],
  ['missing', 'drop index idx_sms_usage_logs_in_flight', /idx_sms_usage_logs_in_flight is missing/],
])('an index that is %s is reported', async (_what, statement, words) => {
  const found = await examineAfter(statement)
  expect(named(found, 'failed')).toEqual(['indexes'])
  expect(of(found, 'indexes')).toEqual([
    expect.objectContaining({
      what: expect.stringMatching(words),
      fix: expect.stringMatching(/^Run: sms-retry migrate/),
    }),
  ])
})

test.each([
  ['is missing', 'drop column error_message', /no column error_message/, /migrate/],
  [
    'has another type',
    'alter column user_id type numeric',
    /user_id has the unsuitable type numeric/,
    /integer or bigint or uuid or text or character varying/,
  ],
  [
    'is json',
    'add column j json, drop column sms_metadata cascade, add column sms_metadata json',
    /sms_metadata has the unsuitable type json/,
    /jsonb/,
  ],
  ['is too short', 'alter column twilio_message_sid type varchar(20)', /holds only 20/, /varying\(34\)/],
  [
    'belongs to the app and is required',
    'add column tenant integer not null',
    /tenant is required/,
    /tenant.* a default/,
  ],
  [
    'is generated',
    'drop column message_length, add column message_length integer generated always as (length(message_content)) stored',
    /message_length is generated/,
    /message_length.* an ordinary column/,
  ],
])('a column that %s is reported', async (_what, change, what, fix) => {
  const found = await examineAfter(`alter table sms_usage_logs ${change}`)
  expect(of(found, 'table')).toEqual([
    expect.objectContaining({
      result: 'failed',
      what: expect.stringMatching(what),
      fix: expect.stringMatching(fix),
    }),
  ])
})

test.each([
  ['processing_time_ms', 'set not null'],
  ['error_message', 'set not null'],
  ['next_retry_at', 'set not null'],
  ['twilio_message_sid', 'set not null'],
  // With the default an insert succeeds, but later updates write null.
  ['error_message', `set default '', alter column error_message set not null`],
])('a column that is NOT NULL but must be nullable is reported: %s, %s', async (name, change) => {
  const found = await examineAfter(`alter table sms_usage_logs alter column ${name} ${change}`)
  expect(of(found, 'table')).toEqual([
    expect.objectContaining({
      result: 'failed',
      what: expect.stringContaining(`${name} is NOT NULL`),
      fix: expect.stringContaining(`alter table sms_usage_logs alter column ${name} drop not null`),
    }),
  ])
})

test('columns of other suitable types pass', async () => {
  const found = await examineAfter(
    'alter table sms_usage_logs alter column next_retry_at type timestamp, alter column id type bigint',
    'alter table sms_usage_logs alter column error_message type varchar(1000)',
    'alter table sms_usage_logs add column tenant integer not null default 1',
    'alter table sms_usage_logs alter column user_id drop not null, alter column user_id type varchar(40)',
  )
  expect(of(found, 'table')[0]?.result).toBe('ok')
})

test('all other columns may be NOT NULL without a default, because a send sets them', async () => {
  const strict = await startWorld()
  const others = [
    ...['user_id', 'phone_number', 'message_direction', 'message_length', 'message_content', 'success'],
    ...['sms_metadata', 'created_at', 'retry_count', 'max_retries', 'final_status'],
  ].map((name) => `alter column ${name} drop default, alter column ${name} set not null`)
  await strict.database.query(`alter table sms_usage_logs ${others.join(', ')}`)
  const found = await examine(strict.env)
  const sent = await strict.sender.send({ userId: 7, to: '+12065550199', body: 'Hello' })
  await strict.stop()
  expect(of(found, 'table')[0]?.result).toBe('ok')
  expect(sent.status).toBe('accepted')
})

test('a read-only database is reported', async () => {
  const readOnly = async (database: TestDatabase, is: 'on' | 'off'): Promise<void> => {
    const name = new URL(database.url).pathname.slice(1)
    await database.query(`alter database ${name} set default_transaction_read_only = ${is}`)
  }
  const database = await createTestDatabase()
  await readOnly(database, 'on')
  const found = await examine({ ...world.env, DATABASE_URL: database.url })
  await database.drop()
  expect(of(found, 'server')[0]).toMatchObject({
    result: 'failed',
    fix: expect.stringContaining('reset default_transaction_read_only'),
  })
})

describe('PostgreSQL settings', () => {
  const inDatabase = (setting: string): string =>
    `do $$ begin execute format($f$alter database %I set ${setting}$f$, current_database()); end $$`

  test('that lose committed data are reported in production', async () => {
    // The server of the tests is not crash-safe, which is allowed only with a simulator.
    const found = of(await examine({ ...world.env, NODE_ENV: 'production' }), 'settings')
    expect(found.map(({ result, what }) => [result, what.split(':')[0]])).toEqual([
      ['failed', 'fsync is off'],
      ['failed', 'full_page_writes is off'],
    ])
    expect(found[0]?.fix).toContain('postgresql.conf')
  })

  test("that disable the app's triggers are reported", async () => {
    const found = await examineAfter(inDatabase('session_replication_role = replica'))
    expect(of(found, 'settings')).toEqual([
      expect.objectContaining({
        result: 'failed',
        what: expect.stringMatching(/^session_replication_role is replica: the app's triggers/),
        fix: expect.stringContaining('reset session_replication_role'),
      }),
    ])
  })

  test('that our sessions and transactions override are not reported', async () => {
    const found = await examineAfter(
      inDatabase("default_transaction_isolation = 'serializable'"),
      inDatabase('synchronous_commit = off'),
      inDatabase("datestyle = 'SQL, DMY'"),
      inDatabase("timezone = 'Asia/Tokyo'"),
    )
    expect(of(found, 'settings').map(({ result }) => result)).toEqual(['ok'])
  })
})

test('a missing queue is named', async () => {
  const found = await examineAfter(`delete from sms_retry_pgboss.queue where name = 'reconcile'`)
  expect(of(found, 'queue')[0]).toMatchObject({
    result: 'failed',
    what: expect.stringContaining('reconcile'),
    fix: 'Run: sms-retry migrate',
  })
})

const OVERDUE = `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content,
       success, final_status, next_retry_at)
     values (7, '+12065550199', 'outbound', 5, 'Hello', false, 'retrying', now() - interval '10 minutes')`

test('an attempt that has been due for minutes is reported', async () => {
  const found = await examineAfter(OVERDUE)
  expect(of(found, 'backlog')[0]).toMatchObject({
    result: 'warning',
    what: expect.stringMatching(/^1 attempt is due now, 0 later; the oldest has been due for 10 min/),
    fix: expect.stringContaining('sms-retry worker'),
  })
})

describe('sending', () => {
  const hold = `update sms_retry.account_state
                   set held_since = now() - interval '12 minutes', held_code = 20005, lifted_by = 'accepted', probes = 3,
                       probe_at = now()`
  const pause = `update sms_retry.account_state
                    set paused_since = now() - interval '2 hours', paused_by = 'alice', paused_reason = 'Moving accounts'`

  test('on hold is reported with Twilio’s code and with the way to end it', async () => {
    expect(of(await examineAfter(hold), 'sending')).toEqual([
      {
        name: 'sending',
        result: 'warning',
        what: expect.stringMatching(
          /on hold 12 min.* ago \(20.*Z\), because .*: 20005, The Twilio account is not active/,
        ),
        fix: expect.stringMatching(/Fix the cause.*probe.*sms-retry resume$/),
      },
    ])
  })

  test('paused is reported with who paused it, since when, and why', async () => {
    expect(of(await examineAfter(pause), 'sending')).toEqual([
      {
        name: 'sending',
        result: 'warning',
        what: expect.stringMatching(/paused 2 h.* ago \(20.*Z\) by alice: Moving accounts$/),
        fix: 'To send again, run: sms-retry resume',
      },
    ])
    const [finding] = of(
      await examineAfter(pause, 'update sms_retry.account_state set paused_reason = null'),
      'sending',
    )
    expect(finding?.what).toMatch(/by alice: no reason given$/)
  })

  test('both on hold and paused is two findings', async () => {
    const found = of(await examineAfter(hold, pause), 'sending')
    expect(found.map(({ result, what }) => [result, /paused|on hold/.exec(what)?.[0]])).toEqual([
      ['warning', 'paused'],
      ['warning', 'on hold'],
    ])
  })

  test('that is stopped explains an old backlog, and no more workers are advised', async () => {
    const found = await examineAfter(OVERDUE, pause)
    expect(of(found, 'backlog')[0]).toMatchObject({
      result: 'warning',
      fix: expect.stringMatching(/^Nothing is sent while/),
    })
  })
})
