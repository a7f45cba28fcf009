// Tests send(): its result, the row at that time, and that every message is recorded before it is submitted. See
// sender.test.ts for idempotency and enqueue(), and message-input.test.ts for invalid input.
import { describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { DatabaseError, RefusedRowError } from '../../src/shared/errors.ts'
import { accept } from '../support/fake-twilio.ts'
import { waitFor } from '../support/wait-for.ts'
import { closeLater, jobCount, message, newWorld, newWorldWith, rowOf } from '../support/world-with.ts'

describe('send()', () => {
  test('returns accepted with the sid, and schedules nothing', async () => {
    const world = await newWorld({ simulator: { chaos: { dropCallbacks: 1 } } })
    const result = await world.sender.send(message())
    const [submitted] = world.simulator.messages()
    expect(result).toEqual({ id: expect.any(Number), status: 'accepted', sid: submitted?.sid })
    expect(submitted).toMatchObject({ to: '+12065550199', body: 'Your order has shipped', attempt: 0 })
    expect(await rowOf(world, result.id)).toMatchObject({
      user_id: 7,
      phone_number: '+12065550199',
      message_direction: 'outbound',
      message_length: 22,
      message_content: 'Your order has shipped',
      success: true,
      final_status: 'queued',
      retry_count: 0,
      next_retry_at: null,
      twilio_message_sid: submitted?.sid,
      processing_time_ms: expect.any(Number),
      error_message: null,
    })
    expect(await jobCount(world)).toBe(0)
  })

  test('returns failed for a code that is never retried, with the reason in the row', async () => {
    const world = await newWorld()
    const result = await world.sender.send(message({ to: '+15552161001' }))
    expect(result).toEqual({
      id: expect.any(Number),
      status: 'failed',
      errorCode: 21610,
      reason: expect.stringMatching(/^21610: The recipient has opted out/),
    })
    expect(await rowOf(world, result.id)).toMatchObject({
      final_status: 'failed',
      success: false,
      next_retry_at: null,
      error_message: expect.stringMatching(/21610.*opted out/),
      sms_metadata: { retry_reason: 21610 },
    })
    expect(await jobCount(world)).toBe(0)
  })

  test('returns retry_scheduled for a code that is retried, with one job', async () => {
    const world = await newWorld({ env: { RETRY_DELAY_SCALE: '1' } })
    const result = await world.sender.send(message({ to: '+15552161101' }))
    expect(result).toEqual({
      id: expect.any(Number),
      status: 'retry_scheduled',
      errorCode: 21611,
      nextRetryAt: expect.any(Date),
    })
    expect(await rowOf(world, result.id)).toMatchObject({
      final_status: 'retrying',
      success: false,
      retry_count: 1,
      next_retry_at: result.nextRetryAt,
      sms_metadata: { retry_reason: 21611, retry_strategy: 'exponential_backoff' },
    })
    expect(await world.database.query('select start_after, data from sms_retry_pgboss.job')).toEqual([
      { start_after: result.nextRetryAt, data: { message: result.id, attempt: 1 } },
    ])
  })

  test('returns retry_scheduled if Twilio did not process the request, for the same attempt', async () => {
    const world = await newWorld({ simulator: { chaos: { rateLimit: 1 } }, env: { RETRY_DELAY_SCALE: '1' } })
    const result = await world.sender.send(message())
    expect(result).toEqual({
      id: expect.any(Number),
      status: 'retry_scheduled',
      nextRetryAt: expect.any(Date),
    })
    expect(await rowOf(world, result.id)).toMatchObject({
      final_status: 'pending',
      success: true,
      retry_count: 0,
      next_retry_at: result.nextRetryAt,
      error_message: expect.stringContaining('too many requests'),
    })
    expect(await jobCount(world)).toBe(1)
  })

  test('returns in_doubt without an answer, with a reason in the row, and schedules nothing', async () => {
    const world = await newWorld({
      simulator: { chaos: { hang: 1, dropCallbacks: 1 }, hangMs: 20 },
      env: { RETRY_DELAY_SCALE: '1' },
    })
    const result = await world.sender.send(message())
    expect(result).toEqual({ id: expect.any(Number), status: 'in_doubt' })
    expect(await rowOf(world, result.id)).toMatchObject({
      final_status: 'submitting',
      success: true,
      error_message: expect.stringMatching(/not known/),
    })
    expect(await jobCount(world)).toBe(0)
    expect(world.simulator.submissionCounts()).toMatchObject({ hung: 1, accepted: 0 })
  })

  test('commits the row as submitting before the request, and keeps no transaction open', async () => {
    const seen: unknown[] = []
    const { world } = await newWorldWith(async (response, post) => {
      const rows = await world.database.query('select final_status, sms_metadata from sms_usage_logs')
      const sessions = await world.database.query(
        `select state, xact_start is not null as "inTransaction" from pg_stat_activity
          where application_name = 'sms-retry' and datname = current_database()`,
      )
      seen.push({ rows, sessions })
      accept(response, post)
    })
    await world.sender.send(message())
    expect(seen).toEqual([
      {
        rows: [
          {
            final_status: 'submitting',
            sms_metadata: {
              attempts: [
                {
                  number: 0,
                  status: 'submitting',
                  account: expect.stringMatching(/^AC/),
                  sender: expect.stringMatching(/^\+/),
                  times: { submitting: expect.stringMatching(/Z$/) },
                },
              ],
              // When another process reconciles it if this one dies now.
              callback_key: expect.stringMatching(/^[\w-]{16}$/),
              reconcile_at: expect.stringMatching(/Z$/),
            },
          },
        ],
        sessions: expect.arrayContaining([{ state: 'idle', inTransaction: false }]),
      },
    ])
    const { sessions } = seen[0] as { sessions: { state: string; inTransaction: boolean }[] }
    expect(sessions.filter(({ inTransaction }) => inTransaction)).toEqual([])
  })

  test('stores validForSeconds as a deadline, and passes the rest of it to Twilio as ValidityPeriod', async () => {
    const { world, twilio } = await newWorldWith(accept)
    const { id } = await world.sender.send(message({ validForSeconds: 600 }))
    const [row] = await world.database.query<{ seconds: number }>(
      `select extract(epoch from (sms_metadata ->> 'deadline')::timestamptz - (created_at at time zone 'UTC'))::float8 as seconds
         from sms_usage_logs where id = $1`,
      [id],
    )
    expect(row?.seconds).toBeCloseTo(600, 1)
    expect(twilio.posts.map(({ fields }) => fields['ValidityPeriod'])).toEqual(['600'])
  })

  test('gives a message up if its next attempt would come after the deadline', async () => {
    const world = await newWorld({ simulator: { chaos: { rateLimit: 1 } }, env: { RETRY_DELAY_SCALE: '1' } })
    const result = await world.sender.send(message({ validForSeconds: 2 }))
    expect(result).toEqual({
      id: expect.any(Number),
      status: 'failed',
      reason: expect.stringMatching(/The next attempt would come after the deadline$/),
    })
    expect(await rowOf(world, result.id)).toMatchObject({ final_status: 'expired', success: false })
    expect(await jobCount(world)).toBe(0)
  })

  test('keeps the metadata beside our keys, also after the answer and the callbacks', async () => {
    const world = await newWorld()
    const metadata = { campaign: 'spring', tags: ['a', { b: null }], empty: null, n: 1.5 }
    const { id } = await world.sender.send(message({ metadata }))
    expect((await rowOf(world, id)).sms_metadata).toMatchObject({ ...metadata, attempts: [{ number: 0 }] })
    const delivered = await waitFor('the callbacks', async () => {
      const row = await rowOf(world, id)
      return row.final_status === 'delivered' && row
    })
    expect(delivered.sms_metadata).toMatchObject({ ...metadata, attempts: [{ status: 'delivered' }] })
  })

  test('rejects with DatabaseError if the database is unavailable, and submits nothing', async () => {
    const { world, twilio } = await newWorldWith(accept)
    const name = new URL(world.database.url).pathname.slice(1)
    const admin = new URL(world.database.url)
    admin.pathname = '/postgres'
    const server = new pg.Client({ connectionString: admin.toString() })
    await server.connect()
    closeLater(() => server.end())
    await server.query(`alter database ${name} with allow_connections false`)
    await server.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name])
    await expect(world.sender.send(message())).rejects.toThrow(DatabaseError)
    expect(twilio.posts).toEqual([])
    await server.query(`alter database ${name} with allow_connections true`)
    // It recovers without a restart. Each connection whose end has not been read yet may cost one more rejection.
    const recovered = (): Promise<unknown> => world.sender.send(message()).catch(() => false)
    expect(await waitFor('the sender to recover', recovered)).toMatchObject({ status: 'accepted' })
  })

  test('returns in_doubt, and does not throw, if the answer cannot be recorded', async () => {
    const { world, twilio } = await newWorldWith(async (response, post) => {
      await world.database.query('alter table sms_usage_logs rename to elsewhere')
      accept(response, post)
    })
    const result = await world.sender.send(message())
    await world.database.query('alter table elsewhere rename to sms_usage_logs')
    expect(result).toEqual({ id: expect.any(Number), status: 'in_doubt' })
    expect(await rowOf(world, result.id)).toMatchObject({ final_status: 'submitting' })
    expect(twilio.posts).toHaveLength(1)
  })

  test('works with one connection for ten calls at once', async () => {
    const world = await newWorld({ env: { DATABASE_POOL_MAX: '1' } })
    const results = await Promise.all(
      Array.from({ length: 10 }, (_, i) => world.sender.send(message({ to: `+1555216110${i}` }))),
    )
    expect(results.map(({ status }) => status)).toEqual([
      'accepted',
      ...Array.from({ length: 9 }, () => 'retry_scheduled'),
    ])
  })
})

describe('send() with a database that changes or refuses the row', () => {
  const trigger = (when: string, body: string): string[] => [
    `create function meddle() returns trigger language plpgsql as $$ begin ${body} end $$`,
    `create trigger meddle ${when} on sms_usage_logs for each row execute function meddle()`,
  ]

  test('returns in_doubt if the update is discarded, and submits once', async () => {
    const { world, twilio } = await newWorldWith(accept)
    for (const statement of trigger('before update', 'return null;')) await world.database.query(statement)
    const result = await world.sender.send(message())
    expect(result).toEqual({ id: expect.any(Number), status: 'in_doubt' })
    expect(twilio.posts).toHaveLength(1)
    expect(await rowOf(world, result.id)).toMatchObject({ final_status: 'submitting' })
    expect(world.log.filter(({ level }) => level === 'error')).toMatchObject([
      { fields: { messageId: result.id, error: { message: expect.stringContaining('row-level security') } } },
    ])
  })

  test.each<[what: string, statements: string[], named: string, constraint: string | null]>([
    [
      'a foreign key',
      [
        'create table app_user (id integer primary key)',
        'alter table sms_usage_logs add constraint "user exists" foreign key (user_id) references app_user',
      ],
      'constraint user exists of table sms_usage_logs',
      'user exists',
    ],
    [
      'a constraint',
      ['alter table sms_usage_logs add constraint "no long texts" check (message_length < 5)'],
      'constraint no long texts of table sms_usage_logs',
      'no long texts',
    ],
    [
      'a column that must not be null',
      ['alter table sms_usage_logs alter column error_message set not null'],
      'column error_message of table sms_usage_logs does not allow null',
      null,
    ],
    [
      'a trigger with an error of its own',
      trigger('before insert', `raise exception 'not to %', new.phone_number;`),
      'PostgreSQL reports error P0001',
      null,
    ],
    [
      'a trigger that raises the code of a missing value',
      trigger('before insert', `raise exception using errcode = '23502', message = new.phone_number;`),
      'PostgreSQL reports error 23502',
      null,
    ],
    [
      'a trigger that keeps new rows out',
      trigger('before insert', 'return null;'),
      'A trigger discards',
      null,
    ],
    [
      'a trigger that changes the status',
      trigger('before insert', `new.final_status := 'unknown'; return new;`),
      'A trigger changes final_status',
      null,
    ],
    [
      'a trigger that removes our metadata',
      trigger('before insert', `new.sms_metadata := '{}'; return new;`),
      'A trigger changes final_status or sms_metadata',
      null,
    ],
  ])('throws a RefusedRowError and submits nothing if the row is refused by %s', async (_what, statements, named, constraint) => {
    const { world, twilio } = await newWorldWith(accept)
    for (const statement of statements) await world.database.query(statement)
    const failure = await world.sender.send(message()).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(RefusedRowError)
    expect(failure).not.toBeInstanceOf(DatabaseError)
    const { message: text } = failure as RefusedRowError
    expect({ ...(failure as RefusedRowError), text }).toMatchObject({
      code: 'REFUSED_ROW',
      constraint,
      text: expect.stringContaining(named),
    })
    expect(text).not.toMatch(/2065550199|Your order|send it again$/)
    expect(twilio.posts).toEqual([])
    expect(await world.database.query('select from sms_usage_logs')).toEqual([])
  })
})
