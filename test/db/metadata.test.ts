// Tests that `sms_metadata` also belongs to the app: its values survive every event, and no value of the app can break a
// message.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { findMessage } from '../../src/db/messages.ts'
import type { Database } from '../../src/postgres/pool.ts'
import type { Event } from '../../src/delivery/message.ts'
import { createRetryPolicy } from '../../src/delivery/retry-policy.ts'
import { type DeliveryStatus, isFinal } from '../../src/delivery/status.ts'
import { type Queue, startQueue } from '../../src/jobs/queue.ts'
import { type MessageEvent, recordEvents } from '../../src/recording/record-events.ts'
import { UNRESTRICTED } from '../support/circumstances.ts'
import { newSid } from '../support/callbacks.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { newMetrics } from '../support/metrics.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { insertMessage } from './new-message.ts'
import { open } from './original-table.ts'

let own: TestDatabase
let database: Database
let queue: Queue

beforeAll(async () => {
  own = await createTestDatabase()
  database = open(own)
  queue = await startQueue(database, 'schedule', silentLogger)
})

afterAll(async () => {
  await queue.stop(1_000)
  await database.close()
  await own.drop()
})

const policy = createRetryPolicy({ jitter: 0 })
const record = (messageEvents: MessageEvent[]) =>
  recordEvents(
    { database, queue, policy, circumstances: UNRESTRICTED, metrics: newMetrics(policy), random: () => 0 },
    messageEvents,
  )

/** JSON as text, with numbers that JavaScript cannot represent: they would change if we parsed them. */
const APP_KEYS = {
  big: '12345678901234567890.123456789012345678901234567890',
  tiny: '1E-40',
  nothing: 'null',
  nested: '{"attempts": [1], "deadline": null, "retry_reason": {"x": null}}',
  list: '[null, {"a": null}, "\\u2028", "ünïcödé 🎉"]',
  text: '"it\'s \\"quoted\\" \\\\ $1"',
  '': '"empty key"',
  RETRY_REASON: '"other case"',
  reconcileAt: '"2000-01-01T00:00:00.000Z"',
}
const APP_METADATA = `{${Object.entries(APP_KEYS)
  .map(([key, json]) => `${JSON.stringify(key)}: ${json}`)
  .join(', ')}}`

const OWN_KEYS = '{retry_reason,retry_error,retry_strategy,idempotency_key,deadline,attempts,reconcile_at}'

interface Given {
  readonly status: string
  readonly sid?: string | null
  /** JSON as text; null for SQL's NULL. */
  readonly metadata: string | null
}

/** A row without entries counts as claimed when it was created. */
const CLAIMED_AT = new Date()

async function insertRow({ status, sid = null, metadata }: Given): Promise<number> {
  const [row] = await own.query<{ id: number }>(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content,
                                 final_status, twilio_message_sid, sms_metadata, created_at)
     values (1, '+12065550100', 'outbound', 5, 'Hello', $1, $2, $3::jsonb, $4::timestamptz at time zone 'UTC')
     returning id`,
    [status, sid, metadata, CLAIMED_AT],
  )
  return row?.id ?? 0
}

/** Compares the app's keys in the database, without parsing them here. */
async function appKeysAreKept(id: number): Promise<unknown> {
  const [row] = await own.query(
    `select (sms_metadata - $2::text[]) = $3::jsonb as "kept",
            (sms_metadata - $2::text[])::text = $3::jsonb::text as "keptToTheDigit",
            sms_metadata -> 'attempts' is not null as "hasAttempts",
            sms_metadata -> 'reconcile_at' is not null as "isLookedAtAgain"
       from sms_usage_logs where id = $1`,
    [id, OWN_KEYS, APP_METADATA],
  )
  return row
}

/** A new sid for each test, because sids are unique. */
let sid = newSid()
beforeEach(() => {
  sid = newSid()
})

const callback = (status: 'sent' | 'delivered' | 'undelivered', errorCode: number | null = null): Event => ({
  kind: 'report',
  attempt: 0,
  sid,
  status,
  errorCode,
  errorText: errorCode === null ? null : 'Unreachable "handset"',
})
const answer = (given: Extract<Event, { kind: 'answer' }>['answer']): Event => ({
  kind: 'answer',
  attempt: 0,
  claimedAt: CLAIMED_AT,
  answer: given,
  processingTimeMs: 12,
})

describe('keys of the app survive', () => {
  test.each<[what: string, from: string, events: () => Event[], to: DeliveryStatus]>([
    ['a claim', 'pending', () => [{ kind: 'due', attempt: 0 }], 'submitting'],
    [
      'an accepted request',
      'submitting',
      () => [
        answer({ outcome: 'accepted', sid: newSid(), status: 'queued', errorCode: null, errorText: null }),
      ],
      'queued',
    ],
    [
      'a refusal for good',
      'submitting',
      () => [answer({ outcome: 'rejected', errorCode: 21610, errorText: 'Opted out' })],
      'failed',
    ],
    [
      'a request that was not processed',
      'submitting',
      () => [answer({ outcome: 'not_processed', reason: 'too many requests', retryAfterSeconds: 1 })],
      'pending',
    ],
    [
      'an unknown outcome',
      'submitting',
      () => [answer({ outcome: 'unknown', reason: 'no answer' })],
      'submitting',
    ],
    ['a status callback', 'queued', () => [callback('sent')], 'sent'],
    ['a scheduled retry', 'sent', () => [callback('undelivered', 30003)], 'retrying'],
    ['a failure for good', 'sent', () => [callback('undelivered', 30007)], 'undelivered'],
    [
      'a failure that was corrected',
      'sent',
      () => [callback('undelivered', 30003), callback('delivered')],
      'delivered',
    ],
    ['a cancel', 'pending', () => [{ kind: 'cancel' }], 'canceled'],
  ])('%s', async (_what, from, events, to) => {
    const id = await insertRow({ status: from, metadata: APP_METADATA })
    for (const event of events()) await record([{ target: { id }, event }])
    expect((await findMessage(database, id))?.status).toBe(to)
    expect(await appKeysAreKept(id)).toEqual({
      kept: true,
      keptToTheDigit: true,
      hasAttempts: true,
      isLookedAtAgain: !isFinal(to),
    })
  })

  test('the insert, including those with the value null', async () => {
    const metadata = { campaign: 'may', nothing: null, nested: { nothing: null, list: [null] } }
    const inserted = await insertMessage(database, {
      key: 'key-of-a-message',
      userId: '1',
      to: '+12065550100',
      body: 'Hello',
      status: 'pending',
      maxRetries: 3,
      validForSeconds: 60,
      sendAfter: null,
      sendWindow: null,
      timeZone: null,
      reason: null,
      nextRetryAt: null,
      idempotencyKey: 'key',
      metadata,
      reconcileAfterSeconds: 30,
      identity: null,
      traceparent: null,
    })
    const [row] = await own.query(
      `select sms_metadata - $2::text[] as "rest", sms_metadata ->> 'idempotency_key' as "key"
         from sms_usage_logs where id = $1`,
      [inserted?.id, OWN_KEYS],
    )
    expect(row).toEqual({ rest: { ...metadata, callback_key: 'key-of-a-message' }, key: 'key' })
  })

  test('an update, as do our deadline, idempotency key and times of sending', async () => {
    const metadata = {
      deadline: '2100-01-01T00:00:00.000Z',
      idempotency_key: 'kept',
      send_after: '2026-01-01T00:00:00.000Z',
      send_window: 'any',
      time_zone: 'Asia/Tokyo',
    }
    const id = await insertRow({ status: 'sent', metadata: JSON.stringify(metadata) })
    await record([{ target: { id }, event: callback('undelivered', 30003) }])
    const [row] = await own.query<{ metadata: object }>(
      'select sms_metadata as "metadata" from sms_usage_logs where id = $1',
      [id],
    )
    expect(row?.metadata).toMatchObject(metadata)
  })

  test('a delivery, while our keys of the failure are removed', async () => {
    const id = await insertRow({ status: 'sent', metadata: APP_METADATA })
    const ours = async () =>
      (
        await own.query(
          `select sms_metadata -> 'retry_reason' as "code", sms_metadata ->> 'retry_error' as "text",
                  sms_metadata ->> 'retry_strategy' as "strategy" from sms_usage_logs where id = $1`,
          [id],
        )
      )[0]
    await record([{ target: { id }, event: callback('undelivered', 30003) }])
    expect(await ours()).toEqual({
      code: 30003,
      text: 'Unreachable "handset"',
      strategy: 'exponential_backoff',
    })
    await record([{ target: { id }, event: callback('delivered') }])
    expect(await ours()).toEqual({ code: null, text: null, strategy: null })
  })
})

describe('metadata that is not an object', () => {
  test.each([
    [null, undefined],
    ['null', null],
    ['[1, {"attempts": 2}]', [1, { attempts: 2 }]],
    ['["attempts", "deadline"]', ['attempts', 'deadline']],
    ['"text"', 'text'],
    ['12.5', 12.5],
    ['false', false],
  ])('%s is kept under its own key', async (metadata, kept) => {
    const id = await insertRow({ status: 'sent', sid, metadata })
    for (const event of [callback('undelivered', 30003), callback('delivered')])
      await record([{ target: { id }, event }])
    const [row] = await own.query<{ metadata: Record<string, unknown> }>(
      'select sms_metadata as "metadata" from sms_usage_logs where id = $1',
      [id],
    )
    expect(row?.metadata).toMatchObject({ attempts: [{ number: 0, status: 'delivered' }] })
    expect(row?.metadata['app_metadata']).toEqual(kept)
  })
})

describe('values of the app under our keys do not break its message:', () => {
  test.each([
    '{"attempts": 3}',
    '{"attempts": "many"}',
    '{"attempts": null}',
    '{"attempts": {}}',
    '{"attempts": {"0": {"number": 0, "status": "sent"}}}',
    '{"attempts": [1, null, "x", [], {}]}',
    '{"attempts": [{"number": "0", "status": "sent"}]}',
    '{"attempts": [{"number": 0}]}',
    '{"attempts": [{"number": 0.5, "status": "sent"}]}',
    '{"attempts": [{"number": 0, "status": "ok"}]}',
    '{"attempts": [{"number": 0, "status": "constructor"}]}',
    '{"attempts": [{"number": -1, "status": "sent"}]}',
    '{"attempts": [{"number": 1e15, "status": "sent"}]}',
    '{"attempts": [{"number": 0, "status": "sent", "times": "never", "sid": 5, "error_code": "x"}]}',
    '{"attempts": [{"number": 0, "status": "sent", "postponements": "often"}]}',
    '{"attempts": [{"number": 0, "status": "sent", "postponements": -1}]}',
    '{"attempts": [{"number": 0, "status": "sent", "times": {"sent": "yesterday"}}]}',
    '{"deadline": "next week"}',
    '{"deadline": {"at": 1}}',
    '{"deadline": "99999-99-99T00:00:00Z"}',
    '{"send_after": "next week", "send_window": "by day", "time_zone": "Mars/Olympus"}',
    '{"send_after": {"at": 1}, "send_window": {"from": "08:00"}, "time_zone": 5}',
    '{"send_after": "99999-99-99T00:00:00Z", "send_window": "08:00-08:00", "time_zone": ""}',
    '{"attempts": [{"number": 0, "status": "sent", "excused": "yes"}]}',
    '{"retry_reason": {"x": [1]}, "retry_error": 5, "retry_strategy": []}',
    '{"reconcile_at": "next week"}',
    '{"reconcile_at": {"at": 1}}',
    '{"reconcile_at": "99999-99-99T00:00:00Z"}',
  ])('%s', async (metadata) => {
    const id = await insertRow({ status: 'sent', sid, metadata })
    const report = (event: Event) => record([{ target: { id }, event }])
    const none = { sendAfter: null, sendWindow: null, timeZone: null }
    expect(await findMessage(database, id)).toMatchObject({ id, status: 'sent', ...none })
    await report({ kind: 'reconcile', isJobScheduled: false })
    expect(await findMessage(database, id)).toMatchObject({ status: 'sent', reconcileAt: expect.any(Date) })
    // The row is followed and retried like any row with a sid.
    await report(callback('undelivered', 30003))
    expect(await findMessage(database, id)).toMatchObject({ status: 'retrying', retryCount: 1, sid })
    await report(callback('delivered'))
    expect(await findMessage(database, id)).toMatchObject({ status: 'delivered', nextRetryAt: null, sid })
  })
})

describe('the stored time of the next check', () => {
  const SET_ASIDE = '9999-12-31T00:00:00.000Z'

  test.each([
    ['a waiting message', 'pending', SET_ASIDE, 'set_aside'],
    ['a waiting retry', 'retrying', SET_ASIDE, 'set_aside'],
    ['a message with Twilio, by an older version', 'sent', SET_ASIDE, 'never'],
    ['a claimed message, by an older version', 'submitting', SET_ASIDE, 'never'],
    ['a message with Twilio', 'sent', 'infinity', 'never'],
    ['a claimed message', 'submitting', 'infinity', 'never'],
    ['a message with a time', 'sent', '2026-01-01T00:00:00.000Z', new Date('2026-01-01T00:00:00.000Z')],
  ])('%s that is %s reads %s as %s', async (_what, status, stored, reconcileAt) => {
    const id = await insertRow({ status, sid, metadata: JSON.stringify({ reconcile_at: stored }) })
    expect(await findMessage(database, id)).toMatchObject({ status, reconcileAt })
  })

  test.each([
    ['pending', SET_ASIDE],
    ['sent', 'infinity'],
  ])('of a %s row that the app left three days ago is written as %s', async (status, stored) => {
    const id = await insertRow({ status, sid, metadata: '{}' })
    await own.query(`update sms_usage_logs set created_at = created_at - interval '73 hours' where id = $1`, [
      id,
    ])
    await record([{ target: { id }, event: { kind: 'reconcile', isJobScheduled: false } }])
    expect(
      await own.query(
        `select sms_metadata ->> 'reconcile_at' as "stored",
                (sms_metadata ->> 'reconcile_at')::timestamptz > now() as "isTime"
           from sms_usage_logs where id = $1`,
        [id],
      ),
    ).toEqual([{ stored, isTime: true }])
  })
})

test.each([
  ['4294967295', []],
  ['2147483648', [{ postponements: 2_147_483_648 }]],
])('an attempt with %s postponements is read only if the number is in range', async (postponements, attempts) => {
  const metadata = `{"attempts": [{"number": 0, "status": "pending", "postponements": ${postponements}}]}`
  const id = await insertRow({ status: 'pending', metadata })
  expect((await findMessage(database, id))?.attempts).toMatchObject(attempts)
})

test('a text with NUL is refused by the database, and breaks neither the row nor the pool', async () => {
  const id = await insertRow({ status: 'sent', metadata: APP_METADATA })
  const event = { ...callback('undelivered', 30003), errorText: 'nul \0' } as Event
  await expect(record([{ target: { id }, event }])).rejects.toMatchObject({ code: 'DATABASE' })
  expect((await findMessage(database, id))?.status).toBe('sent')
  await record([{ target: { id }, event: callback('delivered') }])
  expect(await appKeysAreKept(id)).toMatchObject({ kept: true })
})
