// Tests the statements on single messages: which rows are ours, and what is written and read. See metadata.test.ts for
// `sms_metadata`, and idempotency-key.test.ts for the idempotency key.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { findMessage, listMessages, lockMessages, updateMessages } from '../../src/db/messages.ts'
import type { Database } from '../../src/postgres/pool.ts'
import { newSid } from '../support/callbacks.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { waitFor } from '../support/wait-for.ts'
import { insertMessage, NEW_MESSAGE } from './new-message.ts'
import { open } from './original-table.ts'

let own: TestDatabase
let database: Database

beforeAll(async () => {
  own = await createTestDatabase()
  database = open(own, 12)
})

beforeEach(() => own.query('truncate sms_usage_logs restart identity'))

afterAll(async () => {
  await database.close()
  await own.drop()
})

async function insertRow(direction: string, status: string | null, sid: string | null): Promise<number> {
  const [row] = await own.query<{ id: number }>(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content,
                                 final_status, twilio_message_sid)
     values (1, '+12065550100', $1, 5, 'Hello', $2, $3) returning id`,
    [direction, status, sid],
  )
  return row?.id ?? 0
}

describe.each([
  { direction: 'outbound', status: 'pending', hasSid: false, isOurs: true },
  { direction: 'outbound', status: 'delivered', hasSid: true, isOurs: true },
  { direction: 'outbound', status: 'unknown', hasSid: true, isOurs: true },
  { direction: 'outbound', status: null, hasSid: true, isOurs: true },
  { direction: 'outbound', status: 'unknown', hasSid: false, isOurs: false },
  { direction: 'outbound', status: null, hasSid: false, isOurs: false },
  { direction: 'inbound', status: 'unknown', hasSid: true, isOurs: false },
  { direction: 'inbound', status: 'received', hasSid: true, isOurs: false },
  { direction: 'inbound', status: 'pending', hasSid: false, isOurs: false },
])('a row that is $direction, $status, with a sid: $hasSid', ({ direction, status, hasSid, isOurs }) => {
  test(`is ${isOurs ? 'locked by id and by sid, found and listed' : "the app's own: neither locked nor shown"}`, async () => {
    const sid = hasSid ? newSid() : null
    const id = await insertRow(direction, status, sid)
    const expected = isOurs ? [id] : []
    const idsOf = (rows: { message: { id: number } }[]) => rows.map(({ message }) => message.id)
    expect(idsOf(await database.transaction((tx) => lockMessages(tx, [id], [])))).toEqual(expected)
    if (sid !== null)
      expect(idsOf(await database.transaction((tx) => lockMessages(tx, [], [sid])))).toEqual(expected)
    expect((await findMessage(database, id))?.id).toBe(expected[0])
    expect((await listMessages(database, null, 10)).map((message) => message.id)).toEqual(expected)
  })
})

describe('locked messages', () => {
  test('are returned once each, ordered by id, whether by id or by sid', async () => {
    const sids = [newSid(), newSid(), newSid()]
    for (const sid of sids) await insertRow('outbound', 'sent', sid)
    const locked = await database.transaction((tx) =>
      lockMessages(tx, [3, 1, 99], [sids[0] ?? '', sids[1] ?? '']),
    )
    expect(locked.map(({ message }) => message.id)).toEqual([1, 2, 3])
  })

  test('cannot be changed by another transaction, while others can', async () => {
    const locked = await insertRow('outbound', 'sent', newSid())
    const free = await insertRow('outbound', 'sent', newSid())
    const foreign = await insertRow('inbound', 'received', newSid())
    const change = (id: number) =>
      impatient.query('update sms_usage_logs set user_id = 2 where id = $1', [id])
    // A lock on a row that should be free fails the test instead of blocking it.
    const impatient = new pg.Client({ connectionString: own.url, options: '-c lock_timeout=10s' })
    await impatient.connect()
    let isChanged = false
    const changing = await database.transaction(async (tx) => {
      await lockMessages(tx, [locked, foreign], [])
      await change(free)
      await change(foreign)
      const waiting = change(locked).then(() => {
        isChanged = true
      })
      await waitFor('the other transaction to wait for the lock', async () => {
        const { rows } = await tx.executeSql(
          `select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
        )
        return rows.length === 1
      })
      expect(isChanged).toBe(false)
      return { waiting }
    })
    await changing.waiting
    await impatient.end()
    expect(isChanged).toBe(true)
  })
})

test('updateMessages changes no other message', async () => {
  const ids = [
    await insertRow('outbound', 'sent', newSid()),
    await insertRow('outbound', 'sent', newSid()),
    await insertRow('inbound', 'received', newSid()),
  ]
  const versions = () => own.query<{ id: number }>('select id, xmin::text from sms_usage_logs order by id')
  const before = await versions()
  await database.transaction(async (tx) => {
    const locked = await lockMessages(tx, ids, [])
    updateMessages(
      tx,
      locked.slice(0, 1).map(({ message }) => ({ ...message, status: 'delivered' })),
      (written) => expect(written).toEqual(ids.slice(0, 1)),
    )
  })
  const after = await versions()
  expect(after.slice(1)).toEqual(before.slice(1))
  expect(after[0]).not.toEqual(before[0])
})

test('a message is read as it was written', async () => {
  const inserted = await insertMessage(database, {
    ...NEW_MESSAGE,
    status: 'submitting',
    validForSeconds: 90,
    sendAfter: new Date('2031-02-03T04:00:00.000Z'),
    sendWindow: { from: '08:00', to: '21:30' },
    timeZone: 'Asia/Kolkata',
  })
  const id = inserted?.id ?? 0
  const changed = await database.transaction(async (tx) => {
    const [locked] = await lockMessages(tx, [id], [])
    if (locked === undefined) throw new Error('not locked')
    const message = {
      ...locked.message,
      status: 'retrying',
      success: false,
      retryCount: 1,
      nextRetryAt: new Date('2031-02-03T04:05:06.789Z'),
      sid: newSid(),
      reason: 'It failed: "quote", \\ and ünïcödé 🎉',
      processingTimeMs: 123,
      attempts: [
        {
          number: 0,
          status: 'undelivered',
          sid: newSid(),
          errorCode: 30003,
          errorText: 'Unreachable',
          postponements: 2,
          excused: true,
          account: `AC${'1'.repeat(32)}`,
          sender: '+12065550100',
          segments: 2,
          price: { amount: 0.0166, unit: 'USD' },
          times: { submitting: '2031-02-03T04:00:00.000Z', undelivered: '2031-02-03T04:01:00.000Z' },
        },
        {
          number: 1,
          status: 'pending',
          sid: null,
          errorCode: null,
          errorText: null,
          postponements: 0,
          excused: false,
          account: null,
          sender: null,
          segments: null,
          price: null,
          times: {},
        },
      ],
    } as const
    updateMessages(tx, [message], () => undefined)
    return message
  })
  expect(await findMessage(database, id)).toEqual({
    ...changed,
    userId: 7,
    idempotencyKey: null,
    metadata: {},
    createdAt: expect.any(Date),
    sendAfter: new Date('2031-02-03T04:00:00.000Z'),
    sendWindow: { from: '08:00', to: '21:30' },
    timeZone: 'Asia/Kolkata',
  })
})

describe('a new message', () => {
  test('has values in the columns of the original table', async () => {
    const inserted = await insertMessage(database, { ...NEW_MESSAGE, body: 'Grüße 🎉' })
    const [row] = await own.query('select * from sms_usage_logs')
    expect(row).toMatchObject({
      id: inserted?.id,
      user_id: 7,
      phone_number: '+12065550100',
      message_direction: 'outbound',
      message_length: 7,
      message_content: 'Grüße 🎉',
      success: true,
      retry_count: 0,
      max_retries: 3,
      final_status: 'pending',
      next_retry_at: null,
      twilio_message_sid: null,
    })
  })

  test.each([
    'pending',
    'submitting',
  ] as const)('is told when it was inserted: to the millisecond the time of its first attempt (%s)', async (status) => {
    const inserted = await insertMessage(database, { ...NEW_MESSAGE, status })
    const stored = await findMessage(database, inserted?.id ?? 0)
    expect(stored?.attempts).toMatchObject([{ times: { [status]: inserted?.insertedAt.toISOString() } }])
  })

  test('gets the time of its first check by the clock of the database', async () => {
    await insertMessage(database, { ...NEW_MESSAGE, reconcileAfterSeconds: 45.5 })
    const rows = await own.query(
      `select (sms_metadata ->> 'reconcile_at')::timestamptz = date_trunc('milliseconds', created_at at time zone 'UTC')
                + interval '45.5 seconds' as "isRight" from sms_usage_logs`,
    )
    expect(rows).toEqual([{ isRight: true }])
  })

  test('gets its deadline, if any, by the clock of the database', async () => {
    const withDeadline = await insertMessage(database, { ...NEW_MESSAGE, validForSeconds: 90 })
    const without = await insertMessage(database, NEW_MESSAGE)
    const rows = await own.query(
      `select id, (sms_metadata ->> 'deadline')::timestamptz = date_trunc('milliseconds', created_at at time zone 'UTC')
                  + interval '90 seconds' as "isRight" from sms_usage_logs order by id`,
    )
    expect(rows).toEqual([
      { id: withDeadline?.id, isRight: true },
      { id: without?.id, isRight: null },
    ])
  })
})

describe('the list of messages', () => {
  test('has the newest messages first, with a limit and an optional status', async () => {
    for (const status of ['sent', 'delivered', 'sent', 'failed', 'sent'])
      await insertRow('outbound', status, newSid())
    const ids = async (...[status, limit]: [Parameters<typeof listMessages>[1], number]) =>
      (await listMessages(database, status, limit)).map(({ id }) => id)
    expect(await ids(null, 10)).toEqual([5, 4, 3, 2, 1])
    expect(await ids(null, 2)).toEqual([5, 4])
    expect(await ids('sent', 2)).toEqual([5, 3])
    expect(await ids('canceled', 10)).toEqual([])
  })

  test('can be filtered by every status, including unknown', async () => {
    const id = await insertRow('outbound', null, newSid())
    const foreign = await insertRow('outbound', 'partially_sent', newSid())
    expect((await listMessages(database, null, 10)).map(({ status }) => status)).toEqual([
      'unknown',
      'unknown',
    ])
    expect((await findMessage(database, id))?.status).toBe('unknown')
    expect((await findMessage(database, foreign))?.status).toBe('unknown')
  })

  test('includes rows without a status among the unknown ones', async () => {
    const id = await insertRow('outbound', null, newSid())
    expect((await listMessages(database, 'unknown', 10)).map((message) => message.id)).toEqual([id])
  })

  test('does not have a message that does not exist', async () => {
    expect(await findMessage(database, 1)).toBeNull()
    expect(await findMessage(database, 2 ** 40)).toBeNull()
  })
})
