// Web, worker and sender under the role of sql/roles/least-privilege.sql: they do all that they have to, and the role
// can do nothing else.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { openRecording } from '../../src/processes/open-recording.ts'
import { runWorker } from '../../src/processes/worker.ts'
import { recordEvents } from '../../src/recording/record-events.ts'
import { runCli } from '../cli/run-cli.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { waitFor } from '../support/wait-for.ts'
import { waitForStatus } from '../support/workers.ts'
import { startWorld, type World, type WorldOptions } from '../support/world.ts'
import { closeLater, message, rowOf } from '../support/world-with.ts'
import { giveRights, limitedRole } from './limited-role.ts'

/** Fails once with an error code that is tried again. */
const RECOVERING = '+15553000301'
const SIGN_IN = { DASHBOARD_USERNAME: 'operator', DASHBOARD_PASSWORD: 'a password' }

async function limitedWorld(options: WorldOptions = {}): Promise<World> {
  const role = limitedRole()
  closeLater(() => role.drop())
  const world = await startWorld({ ...options, databaseUrl: role.create })
  closeLater(() => world.stop())
  return world
}

const ALTER_ID = 'alter table sms_usage_logs alter column id'

/** What the database refuses is seen here at the latest, also where things go on without it. */
function expectNoComplaint({ log }: World): void {
  expect(log.filter(({ level }) => level === 'error' || level === 'warn')).toEqual([])
  expect(log.filter((line) => JSON.stringify(line).includes('permission denied'))).toEqual([])
}

describe('under the role', () => {
  test("messages are sent, enqueued in the app's own transaction, tried again and delivered", async () => {
    const world = await limitedWorld({ env: { SEND_RATE_PER_SECOND: '100' } })
    await world.startWorker()
    // The app needs no more than the role either.
    const app = new pg.Client({ connectionString: world.env['DATABASE_URL'] })
    await app.connect()
    closeLater(() => app.end())
    const { id: enqueued } = await world.sender.enqueue(message({ to: RECOVERING }), { db: app })
    const { id: sent } = await world.sender.send(message({ to: RECOVERING, idempotencyKey: 'once' }))
    expect(await world.sender.send(message({ to: RECOVERING, idempotencyKey: 'once' }))).toMatchObject({
      id: sent,
    })
    for (const id of [sent, enqueued]) {
      await waitForStatus(world, id, 'delivered')
      expect(await rowOf(world, id)).toMatchObject({ success: true, retry_count: 1 })
    }
    expect((await fetch(`${world.web.url}/readyz`)).status).toBe(200)
    expectNoComplaint(world)
  })

  test('outcomes are recorded, delivered, corrected, and delivered again after they failed', async () => {
    const world = await limitedWorld({ env: { OUTCOME_EVENTS: 'true', RETRY_DELAY_SCALE: '6' } })
    const { sender, database } = world
    const outcomes: string[] = []
    const worker = await runWorker(world.openRuntime(), ({ type }) => outcomes.push(type))
    closeLater(() => worker.stop())
    const recording = await openRecording(world.openRuntime())
    closeLater(() => recording.close())
    const { deps } = recording
    const { id } = await sender.send(message({ to: RECOVERING }))
    await waitForStatus(world, id, 'retrying')
    // This outcome has failed all its deliveries before.
    await database.query(
      `insert into sms_retry_pgboss.job (name, data, policy, source_name)
       select 'outcome_failed', jsonb_build_object('id', gen_random_uuid(), 'message', $1::integer, 'key', sms_metadata ->> 'callback_key',
                'type', 'message.failed', 'at', '2026-01-01T00:00:00.000Z', 'corrects', null), 'standard', 'outcome'
         from sms_usage_logs where id = $1`,
      [id],
    )
    await sender.cancel({ id })
    await waitFor('the cancellation', () => outcomes.length === 1)
    const [attempt] = (await rowOf(world, id)).sms_metadata.attempts ?? []
    const late = {
      kind: 'report',
      attempt: 0,
      sid: attempt?.sid ?? '',
      errorCode: null,
      errorText: null,
    } as const
    expect(await deps.queue.outcomes.redeliverFailed()).toBe(1)
    await recordEvents(deps, [{ target: { id }, event: { ...late, status: 'delivered' } }])
    await waitFor('three outcomes', async () => {
      await database.query(
        `update sms_retry_pgboss.job set start_after = now() where name = 'outcome' and state < 'active'`,
      )
      return outcomes.length === 3
    })
    expect(outcomes.toSorted()).toEqual(['message.canceled', 'message.corrected', 'message.failed'])
    expectNoComplaint(world)
  })

  test('the sweep finds what no callback has told of', async () => {
    const world = await limitedWorld({ simulator: { chaos: { dropCallbacks: 1 } } })
    const { id } = await world.sender.send(message({ to: RECOVERING }))
    await world.startWorker()
    await waitForStatus(world, id, 'delivered')
    expect(await rowOf(world, id)).toMatchObject({ retry_count: 1 })
    expectNoComplaint(world)
  })

  test('the queue is maintained', async () => {
    const world = await limitedWorld()
    // So that there is something to be removed: it was done with a year ago.
    await world.database.query(
      `insert into sms_retry_pgboss.job (name, state, completed_on, deletion_seconds)
       values ('attempt', 'completed', now() - interval '1 year', 60)`,
    )
    await world.startWorker()
    await waitFor('the queue to be counted and purged', async () => {
      const [found] = await world.database.query(
        `select (select monitor_on is not null and maintain_on is not null
                   from sms_retry_pgboss.queue where name = 'attempt')
            and not exists (select from sms_retry_pgboss.job where name = 'attempt') as "done"`,
      )
      return found?.['done'] === true
    })
    expectNoComplaint(world)
  })

  test('the dashboard shows every page, and does what it is asked to', async () => {
    // Half an hour instead of 300 ms, so that there is a retry to be called off.
    const world = await limitedWorld({ env: { ...SIGN_IN, RETRY_DELAY_SCALE: '6' } })
    const { id } = await world.sender.send(message({ to: RECOVERING }))
    await waitForStatus(world, id, 'retrying')
    const Authorization = `Basic ${Buffer.from(Object.values(SIGN_IN).join(':')).toString('base64')}`
    const get = (path: string) => fetch(world.web.url + path, { headers: { Authorization } })
    for (const path of ['/', '/messages', `/messages/${id}`, '/error-codes', '/queue']) {
      expect([path, (await get(path)).status]).toEqual([path, 200])
    }
    const form = await (await get(`/messages/${id}/cancel`)).text()
    const fields = [...form.matchAll(/type="hidden" name="(\w+)" value="([^"]*)"/g)].map(
      ([, name = '', value = '']): [string, string] => [name, value.replaceAll('&quot;', '"')],
    )
    await fetch(`${world.web.url}/messages/${id}/cancel`, {
      method: 'POST',
      headers: { Authorization, 'Sec-Fetch-Site': 'same-origin' },
      body: new URLSearchParams(fields),
    })
    expect(await rowOf(world, id)).toMatchObject({ final_status: 'canceled' })
    expectNoComplaint(world)
  })
})

test.each([
  [['--content-only'], { count: 1, texts: 0 }],
  [[], { count: 0, texts: 0 }],
])('a role that may do what prune needs as well: prune %p', async (flags, expected) => {
  const role = limitedRole()
  closeLater(() => role.drop())
  const database = await createTestDatabase()
  closeLater(() => database.drop())
  const url = await role.create(database)
  await database.query(`grant delete, update (message_content) on sms_usage_logs to ${new URL(url).username}`)
  await database.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content, final_status, created_at)
     values (7, '+12065550199', 'outbound', 5, 'Hello', 'delivered', now() - interval '100 days')`,
  )
  const ended = await runCli(['prune', '--older-than', '90d', ...flags], { DATABASE_URL: url })
  expect(ended).toMatchObject({ code: 0 })
  const [found] = await database.query(
    'select count(*)::int, count(message_content)::int as "texts" from sms_usage_logs',
  )
  expect(found).toEqual(expected)
})

describe('the role', () => {
  const role = limitedRole()
  let database: TestDatabase
  let limited: pg.Client

  beforeAll(async () => {
    database = await createTestDatabase()
    await database.query('create table app_secrets as select 1 as secret')
    limited = new pg.Client({ connectionString: await role.create(database) })
    await limited.connect()
  })

  afterAll(async () => {
    await limited.end()
    await database.drop()
    await role.drop()
  })

  test.each([
    ['delete messages', 'delete from sms_usage_logs'],
    ['empty the table', 'truncate sms_usage_logs'],
    ['drop the table', 'drop table sms_usage_logs'],
    ['alter the table', 'alter table sms_usage_logs add column more text'],
    ['hang a trigger on the table', 'create trigger t before insert on sms_usage_logs execute function f()'],
    ['index the table', 'create index on sms_usage_logs (user_id)'],
    ['change who gets a message', `update sms_usage_logs set phone_number = '+12065550100'`],
    ['change what a message says', `update sms_usage_logs set message_content = 'Something else'`],
    ['change whose message it is', 'update sms_usage_logs set user_id = 1'],
    ["set the ids' sequence back", `select setval('sms_usage_logs_id_seq', 1)`],
    ["read the app's other tables", 'select * from app_secrets'],
    ["write into the app's other tables", 'insert into app_secrets values (2)'],
    ['make a table', 'create table more (id integer)'],
    ['make a schema', 'create schema more'],
    ['make a table among ours', 'create table sms_retry.more (id integer)'],
    ['pretend that a migration was run', `insert into sms_retry.migrations (name) values ('x')`],
    ['say that the queue has another version', 'update sms_retry_pgboss.version set version = 0'],
    ["delete the queue's version", 'delete from sms_retry_pgboss.version'],
    ['delete a queue', "delete from sms_retry_pgboss.queue where name = 'reconcile'"],
    ['delete a queue by its function', "select sms_retry_pgboss.delete_queue('reconcile')"],
    ['add a queue', "insert into sms_retry_pgboss.queue (name) values ('more')"],
    ['have a queue forget its jobs', 'update sms_retry_pgboss.queue set retention_seconds = 1'],
    ["read a queue's jobs from another table", `update sms_retry_pgboss.queue set table_name = 'x'`],
    [
      'have the owner execute a statement at the next migrate',
      `insert into sms_retry_pgboss.bam (name, version, status, queue, table_name, command)
       values ('x', 1, 'pending', 'attempt', 'job', 'create role more superuser')`,
    ],
    ['change a statement that the owner will execute', `update sms_retry_pgboss.bam set command = 'x'`],
    ['empty the queue at a stroke', 'truncate sms_retry_pgboss.job'],
    ["drop the queue's tables", 'drop table sms_retry_pgboss.job cascade'],
    ["make a table among the queue's", 'create table sms_retry_pgboss.more (id integer)'],
    ['drop the queue', 'drop schema sms_retry_pgboss cascade'],
    ['make a role', 'create role more'],
    ['read the passwords', 'select * from pg_authid'],
    ["read the server's files", `copy (select 1) to program 'true'`],
  ])('cannot %s', async (_what, statement) => {
    await expect(limited.query(statement)).rejects.toMatchObject({ code: INSUFFICIENT_PRIVILEGE })
  })

  test('knows every table of ours, so that a migration that adds one adds its rights', async () => {
    const { rows } = await limited.query(
      `select oid::regclass::text as "name" from pg_class
        where relkind in ('r', 'p') and relnamespace in ('sms_retry'::regnamespace, 'sms_retry_pgboss'::regnamespace)
          and not has_table_privilege(oid, 'select')`,
    )
    expect(rows).toEqual([])
  })

  test('uses what a later version of the queue adds to it', async () => {
    await database.query('create table sms_retry_pgboss.added (id serial, what text)')
    await limited.query(`insert into sms_retry_pgboss.added (what) values ('x')`)
    expect((await limited.query('delete from sms_retry_pgboss.added returning id')).rows).toEqual([{ id: 1 }])
  })

  test('can be given its rights again, which takes those that an earlier version gave', async () => {
    const name = limited.user ?? ''
    await database.query(`grant all on all tables in schema sms_retry_pgboss to ${name}`)
    await expect(limited.query('delete from sms_retry_pgboss.bam')).resolves.toMatchObject({ rowCount: 0 })
    await giveRights(database, name)
    await expect(limited.query('delete from sms_retry_pgboss.bam')).rejects.toMatchObject({
      code: INSUFFICIENT_PRIVILEGE,
    })
    // Added by the test above: a table of a later version stays writable.
    await expect(limited.query('delete from sms_retry_pgboss.added')).resolves.toMatchObject({ rowCount: 0 })
  })
})

test.each([
  ['a serial', []],
  [
    'drawn from a sequence that it does not own',
    ['create sequence "Ids"', `${ALTER_ID} set default nextval('"Ids"')`],
  ],
  ['an identity', [`${ALTER_ID} drop default`, `${ALTER_ID} add generated always as identity`]],
  ['of its own making', [`${ALTER_ID} set default 7`]],
])("in a schema of the app's own, the role adds messages to a table whose id is %s", async (_what, statements) => {
  const database = await createTestDatabase()
  const role = limitedRole()
  closeLater(() => role.drop())
  closeLater(() => database.drop())
  const search = 'set search_path = "App"'
  for (const statement of [
    'create schema "App"',
    'alter table sms_usage_logs set schema "App"',
    search,
    ...statements,
  ])
    await database.query(statement)
  const limited = new pg.Client({ connectionString: await role.create(database) })
  await limited.connect()
  closeLater(() => limited.end())
  await limited.query(search)
  const { rowCount } = await limited.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length)
     values (7, '+12065550100', 'outbound', 0)`,
  )
  expect(rowCount).toBe(1)
})

test('send() throws a RefusedRowError if a policy of the table refuses the row, not if a right is missing', async () => {
  const world = await limitedWorld()
  await world.database.query('alter table sms_usage_logs enable row level security')
  await world.database.query(
    'create policy short on sms_usage_logs using (true) with check (message_length < 5)',
  )
  const failure = await world.sender.send(message()).catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: 'REFUSED_ROW', constraint: null })
  expect(String(failure)).toMatch(/a policy of row-level security/)
  expect(await world.sender.send(message({ body: 'Hi' }))).toMatchObject({ status: 'accepted' })
  const name = new URL(world.env['DATABASE_URL'] ?? '').username
  await world.database.query(`revoke insert on sms_usage_logs from ${name}`)
  await expect(world.sender.send(message())).rejects.toMatchObject({ code: 'DATABASE', written: 'no' })
})

const INSUFFICIENT_PRIVILEGE = '42501'
