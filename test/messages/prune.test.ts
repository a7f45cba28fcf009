// Tests pruning in batches: it can be stopped, killed and run twice at once, while callbacks and sends continue.
// db/prunable-messages.test.ts tests which messages are deleted. Needs dist/.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import type { Database } from '../../src/postgres/pool.ts'
import { findMessage } from '../../src/db/messages.ts'
import { IdempotencyKeyReusedError } from '../../src/shared/errors.ts'
import { actOnMessage } from '../../src/messages/act-on-message.ts'
import { createRetryPolicy } from '../../src/delivery/retry-policy.ts'
import { type Pruned, prune } from '../../src/messages/prune-messages.ts'
import { type Queue, startQueue } from '../../src/jobs/queue.ts'
import { type MessageEvent, recordEvents } from '../../src/recording/record-events.ts'
import { enqueueMessage } from '../../src/messages/enqueue-messages.ts'
import { open } from '../db/original-table.ts'
import { runCli } from '../cli/run-cli.ts'
import { UNRESTRICTED, USER_ID_COLUMN } from '../support/circumstances.ts'
import { newSid } from '../support/callbacks.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { newMetrics } from '../support/metrics.ts'
import { startCli } from '../support/process.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { waitFor } from '../support/wait-for.ts'

let own: TestDatabase
let database: Database
let queue: Queue

beforeAll(async () => {
  own = await createTestDatabase()
  database = open(own, 10)
  queue = await startQueue(database, 'schedule', silentLogger)
})

beforeEach(() => own.query('truncate sms_usage_logs cascade'))

afterAll(async () => {
  await queue.stop(1_000)
  await database.close()
  await own.drop()
})

const policy = createRetryPolicy({ jitter: 0 })
const deps = () => ({
  database,
  queue,
  policy,
  metrics: newMetrics(policy),
  circumstances: UNRESTRICTED,
  userIdColumn: USER_ID_COLUMN,
  random: () => 0,
  logger: silentLogger,
})

const SIDS = Array.from({ length: 100 }, newSid)

/** Messages that failed for good a hundred days ago. The first ones have these sids. */
async function fill(count: number): Promise<void> {
  await own.query(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content,
                                 final_status, success, twilio_message_sid, sms_metadata, created_at)
     select 1, '+12065550100', 'outbound', 5, 'Hello', 'undelivered', false, ($2::text[])[n],
            jsonb_build_object('attempts', jsonb_build_array(jsonb_build_object(
              'number', 0, 'status', 'undelivered', 'error_code', 30003, 'sid', ($2::text[])[n],
              'times', '{"undelivered": "2020-01-01T00:00:00.000Z"}'::jsonb))),
            now() at time zone 'UTC' - interval '100 days' + n * interval '1 s'
       from generate_series(1, $1) n`,
    [count, SIDS],
  )
}

async function count(condition = 'true'): Promise<number> {
  const [row] = await own.query<{ n: number }>(
    `select count(*)::int as n from sms_usage_logs where ${condition}`,
  )
  return row?.n ?? Number.NaN
}

const ROWS = { what: 'rows', olderThanDays: 90, batchSize: 10 } as const
const CONTENT = { ...ROWS, what: 'content' } as const

describe('pruning in batches', () => {
  test('keeps to the batch size, and commits each batch before it is reported', async () => {
    await fill(35)
    const left: Promise<number>[] = []
    const told: Pruned[] = []
    const result = await prune(database, ROWS, (sofar) => {
      told.push(sofar)
      left.push(count())
    })
    expect(told.map(({ pruned }) => pruned)).toEqual([10, 20, 30, 35])
    expect((await Promise.all(left)).every((n, i) => n <= 35 - (told[i]?.pruned ?? 0))).toBe(true)
    expect(result).toMatchObject({ pruned: 35, isComplete: true })
    expect(await count()).toBe(0)
  })

  test('stops after the current batch, and the next run continues', async () => {
    await fill(35)
    const stop = new AbortController()
    const stopped = await prune(database, CONTENT, () => stop.abort(), stop.signal)
    expect(stopped).toMatchObject({ pruned: 10, isComplete: false })
    expect(await count('message_content is null')).toBe(10)
    expect(await prune(database, CONTENT)).toMatchObject({ pruned: 25, isComplete: true })
    expect(await prune(database, CONTENT)).toMatchObject({ pruned: 0, isComplete: true })
  })

  test('counts in a dry run, and changes nothing', async () => {
    await fill(35)
    for (const options of [CONTENT, ROWS])
      expect(await prune(database, { ...options, dryRun: true })).toMatchObject({
        pruned: 35,
        isComplete: true,
      })
    expect(await count("message_content = 'Hello'")).toBe(35)
  })

  test('rejects an age below seven days', async () => {
    await expect(prune(database, { ...ROWS, olderThanDays: 6 })).rejects.toThrow(RangeError)
    await expect(prune(database, { ...ROWS, olderThanDays: Number.NaN })).rejects.toThrow(RangeError)
  })

  test('ends with the error if the database refuses a delete, and keeps completed batches', async () => {
    await fill(35)
    await own.query(
      `create table notes (message integer references sms_usage_logs (id));
       insert into notes select id from sms_usage_logs order by created_at offset 20 limit 1`,
    )
    await expect(prune(database, ROWS)).rejects.toThrow(/foreign key constraint/)
    expect(await count()).toBe(15)
    await own.query('drop table notes')
  })
})

describe('pruning beside others', () => {
  test('in two processes prunes each message once', async () => {
    await fill(500)
    const [one, other] = await Promise.all([prune(database, ROWS), prune(database, ROWS)])
    expect(one.pruned + other.pruned).toBe(500)
    expect(await count()).toBe(0)
  })

  test('leaves a locked message for the next run, without waiting for it', async () => {
    await fill(15)
    await database.transaction(async (tx) => {
      await tx.executeSql('select from sms_usage_logs order by created_at limit 3 for no key update')
      expect((await prune(database, ROWS)).pruned).toBe(12)
    })
    expect((await prune(database, ROWS)).pruned).toBe(3)
  })

  test('neither loses nor blocks callbacks', async () => {
    await fill(100)
    const ids = (await own.query<{ id: number }>('select id from sms_usage_logs order by created_at')).map(
      ({ id }) => id,
    )
    const late = ids.map(
      (id, i): MessageEvent => ({
        target: { id },
        event: {
          kind: 'report',
          attempt: 0,
          sid: SIDS[i] ?? '',
          status: 'delivered',
          errorCode: null,
          errorText: null,
        },
      }),
    )
    const lists = Array.from({ length: 20 }, (_, i) => late.slice(i * 5, i * 5 + 5))
    const [recorded, { pruned: first }] = await Promise.all([
      Promise.all(lists.map((list) => recordEvents(deps(), list))),
      prune(database, CONTENT),
    ])
    expect(recorded.flat().filter(({ known }) => !known)).toEqual([])
    // Rows that a callback had locked are left for the next run.
    expect(await count("final_status = 'delivered'")).toBe(100)
    expect(await count('message_content is null')).toBe(first)
  })

  test('makes later callbacks of a deleted message unknown, without an error', async () => {
    await fill(50)
    const late = SIDS.slice(0, 50).map(
      (sid): MessageEvent => ({
        target: { sid },
        event: { kind: 'report', attempt: null, sid, status: 'delivered', errorCode: null, errorText: null },
      }),
    )
    const [recorded] = await Promise.all([
      Promise.all(late.map((messageEvent) => recordEvents(deps(), [messageEvent]))),
      prune(database, ROWS),
    ])
    expect(recorded.flat()).toHaveLength(50)
    // The remaining rows were locked by their callbacks.
    expect(await count("final_status <> 'delivered'")).toBe(0)
    expect((await prune(database, ROWS)).isComplete).toBe(true)
    expect(await count()).toBe(0)
  })
})

describe('a message whose text was deleted', () => {
  const INPUT = { userId: 1, to: '+12065550100', body: 'Hello', idempotencyKey: 'order-1' }

  async function strippedMessage(): Promise<number> {
    const { id } = await enqueueMessage(deps(), database, INPUT)
    await own.query(
      `update sms_usage_logs
          set final_status = 'undelivered', success = false, created_at = created_at - interval '100 days',
              sms_metadata = sms_metadata || '{"attempts": [{"number": 0, "status": "undelivered", "error_code": 30003}]}'`,
    )
    await prune(database, CONTENT)
    expect(await findMessage(database, id)).toMatchObject({ body: null, status: 'undelivered' })
    return id
  }

  test('cannot be retried manually, with a reason', async () => {
    const id = await strippedMessage()
    const found = await findMessage(database, id)
    if (found === null) throw new Error('the row is missing')
    expect(await actOnMessage(deps(), found, { kind: 'retry', seen: null, force: true })).toEqual({
      outcome: 'nothing_to_do',
      why: 'the row has no text (message_content)',
    })
  })

  test('still reserves its idempotency key, for its recipient and user', async () => {
    const id = await strippedMessage()
    expect(await enqueueMessage(deps(), database, INPUT)).toEqual({ id, created: false })
    const other = { ...INPUT, to: '+12065550111' }
    await expect(enqueueMessage(deps(), database, other)).rejects.toThrow(IdempotencyKeyReusedError)
  })

  test('frees its idempotency key when its row is deleted', async () => {
    const id = await strippedMessage()
    await prune(database, ROWS)
    const again = await enqueueMessage(deps(), database, INPUT)
    expect(again).toEqual({ id: expect.any(Number), created: true })
    expect(again.id).not.toBe(id)
  })
})

describe('sms-retry prune', () => {
  const run = (...args: string[]) => runCli(['prune', ...args], { DATABASE_URL: own.url })

  test('counts messages, deletes texts, and deletes rows', async () => {
    await fill(3)
    const counted = await run('--older-than', '90d', '--dry-run')
    expect(counted).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^3 messages would be deleted \(created before \d{4}-.* UTC\)\.\n$/),
      stderr: '',
    })
    const stripped = await run('--older-than', '90d', '--content-only', '--json')
    expect(JSON.parse(stripped.stdout)).toEqual({
      what: 'content',
      dryRun: false,
      createdBefore: expect.stringMatching(/Z$/),
      pruned: 3,
      isComplete: true,
    })
    expect((await run('--older-than', '90d')).stdout).toMatch(/^3 messages were deleted/)
    expect(await count()).toBe(0)
  })

  test.each([
    ['6d'],
    ['90'],
    ['1y'],
    ['-90d'],
    [''],
  ])('rejects --older-than %p as wrong usage', async (age) => {
    expect(await run('--older-than', age)).toMatchObject({ code: 2, stdout: '' })
  })

  test('does not touch a table that was not migrated', async () => {
    const old = await createTestDatabase()
    await old.query("delete from sms_retry.migrations where name like '010%'")
    const ended = await runCli(['prune', '--older-than', '90d'], { DATABASE_URL: old.url })
    await old.drop()
    expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining('sms-retry migrate') })
  })

  /** Blocks the delete of a row in the second batch until the lock is released. */
  async function holdUp(): Promise<() => Promise<void>> {
    await fill(2500)
    await own.query(
      `create function wait_for_test() returns trigger language plpgsql as
         $$ begin perform pg_advisory_xact_lock(1); return old; end $$;
       create trigger wait_for_test before delete on sms_usage_logs for each row
         when (old.phone_number = 'hold') execute function wait_for_test();
       update sms_usage_logs set phone_number = 'hold'
        where id = (select id from sms_usage_logs order by created_at offset 1500 limit 1)`,
    )
    const holder = new pg.Client({ connectionString: own.url })
    await holder.connect()
    await holder.query('select pg_advisory_lock(1)')
    return () => holder.end()
  }

  afterEach(() => own.query('drop function if exists wait_for_test cascade'))

  /** The sessions that prune, and whether they wait for a lock. */
  const pruning = () =>
    own.query<{ waits: boolean }>(
      `select wait_event_type = 'Lock' as "waits" from pg_stat_activity
        where datname = current_database() and query like 'with looked%' and state = 'active'`,
    )

  const untilHeldUp = () =>
    waitFor('the second batch to wait', async () => (await pruning()).some(({ waits }) => waits))

  test('that is killed during a batch commits it completely or not at all, and the next run continues', async () => {
    const letGo = await holdUp()
    const cli = startCli(['prune', '--older-than', '90d'], { DATABASE_URL: own.url })
    await untilHeldUp()
    cli.kill('SIGKILL')
    await cli.ended
    await letGo()
    await waitFor('its session to end', async () => (await pruning()).length === 0)
    expect([500, 1500]).toContain(await count())
    expect(await run('--older-than', '90d')).toMatchObject({ code: 0 })
    expect(await count()).toBe(0)
  })

  test('stops on SIGTERM after the current batch, reports its progress and exits with 1', async () => {
    const letGo = await holdUp()
    const cli = startCli(['prune', '--older-than', '90d', '--json'], { DATABASE_URL: own.url })
    await untilHeldUp()
    cli.kill('SIGTERM')
    await waitFor('the signal to be heard', () => cli.stderr().includes('SIGTERM'))
    await letGo()
    expect(await cli.ended).toBe(1)
    expect(JSON.parse(cli.stdout())).toMatchObject({ pruned: 2000, isComplete: false })
    expect(cli.stderr()).toContain('Run the command again')
    expect(await count()).toBe(500)
  })
})
