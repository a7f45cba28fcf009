// The fake sender: it behaves as the real one where it claims to, its scripts, and what it records.
import { beforeEach, describe, expect, test } from '@jest/globals'
import type { MessageInput } from '../../src/messages/message-input.ts'
import type { CallerTransaction } from '../../src/postgres/pool.ts'
import type { Sender } from '../../src/processes/sender.ts'
import { DatabaseError, IdempotencyKeyReusedError, InvalidMessageError } from '../../src/shared/errors.ts'
import { createFakeSender, type FakeResult, type FakeSender } from '../../src/testing.ts'
import { appClient, message, newWorld } from '../support/world-with.ts'

const NUMBER = '+12065550199'
/** Neither library nor metadata knows where it is. */
const NUMBER_WITHOUT_ZONE = '+88213555123'
const SID = expect.stringMatching(/^SM[0-9a-f]{32}$/)
const IN_AN_HOUR = new Date(Date.now() + 3600_000)

/** Such as `08:00`, in London. */
const inLondon = (at: Date): string =>
  at.toLocaleTimeString('en-GB', { timeZone: 'Europe/London', timeStyle: 'short' })
/** Open around that time, at whatever time of day the test runs: the fake ignores windows, the real sender does not. */
const OPEN_IN_AN_HOUR = {
  from: inLondon(new Date(IN_AN_HOUR.getTime() - 7_200_000)),
  to: inLondon(new Date(IN_AN_HOUR.getTime() + 7_200_000)),
}

/** What a call returned or threw, without what differs between any two runs. */
async function outcomeOf(call: () => Promise<unknown>): Promise<unknown> {
  try {
    return await call()
  } catch (error) {
    const { name, message, code, indexes } = error as InvalidMessageError
    return { name, message, code, indexes }
  }
}

type Call = (sender: Sender, db: CallerTransaction) => Promise<unknown>
const send =
  (changes: object = {}): Call =>
  (sender) =>
    sender.send({ ...message(), ...changes })
const enqueue =
  (changes: object = {}): Call =>
  (sender, db) =>
    sender.enqueue({ ...message(), ...changes }, { db })
const enqueueMany =
  (...changes: object[]): Call =>
  (sender, db) =>
    sender.enqueueMany(
      changes.map((each) => ({ ...message(), ...each })),
      { db },
    )
const get =
  (ref: object): Call =>
  (sender) =>
    sender.get(ref as { id: number })
const cancel =
  (ref: object, reason?: string): Call =>
  (sender) =>
    sender.cancel(ref as { id: number }, { reason })
const cancelInTransaction =
  (ref: { id: number }): Call =>
  (sender, db) =>
    sender.cancel(ref, { db })
const close: Call = (sender) => sender.close()

/** A result without times of this run, sids, and what only a real attempt has. */
function comparable(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value ?? null, (name, field: unknown) => {
      if (name === 'attempts')
        return (field as { number: number; status: string }[]).map(
          ({ number, status }) => `${number} ${status}`,
        )
      if (name === 'sid' || name === 'processingTimeMs') return typeof field === 'object' ? null : name
      const time = typeof field === 'string' && /^\d{4}-\d\d-\d\dT/.test(field) ? new Date(field) : null
      return time === null || time.getTime() === IN_AN_HOUR.getTime() ? field : 'a time'
    }),
  )
}

describe('as the real sender does', () => {
  test.each<[what: string, calls: readonly Call[]]>([
    ['it accepts messages', [send(), send({ to: '+12065550188' })]],
    ['it adds messages to a transaction', [enqueue(), enqueue({ body: 'Another' })]],
    [
      'it names every fault of the input',
      [
        send({ userId: 1.5, to: '12065550199', body: '' }),
        enqueue({ body: 'x'.repeat(1601) }),
        send({ to: '+4407700900103' }),
        send({ validForSeconds: 60, sendAfter: IN_AN_HOUR }),
        send({ metadata: { attempts: [] } }),
        send({ unknown: 1 }),
        send({ sendWindow: { from: '25:00', to: '21:00' } }),
        send({ to: NUMBER_WITHOUT_ZONE, sendWindow: { from: '08:00', to: '21:00' } }),
        enqueue({ to: NUMBER_WITHOUT_ZONE, sendWindow: { from: '08:00', to: '21:00' } }),
      ],
    ],
    [
      'it returns the first result for an idempotency key',
      [send({ idempotencyKey: 'a' }), send({ idempotencyKey: 'a' }), enqueue({ idempotencyKey: 'a' })],
    ],
    [
      'it finds an enqueued message by its idempotency key',
      [enqueue({ idempotencyKey: 'a' }), enqueue({ idempotencyKey: 'a' }), send({ idempotencyKey: 'a' })],
    ],
    [
      'it refuses an idempotency key of another message',
      [
        send({ idempotencyKey: 'a' }),
        send({ idempotencyKey: 'a', to: '+12065550188' }),
        send({ idempotencyKey: 'a', body: 'Another' }),
        enqueue({ idempotencyKey: 'a', userId: 8 }),
        send({ idempotencyKey: 'a', validForSeconds: 60 }),
      ],
    ],
    [
      'it delays a message to its `sendAfter`',
      [
        send({ sendAfter: new Date(0) }),
        send({ sendAfter: IN_AN_HOUR, idempotencyKey: 'a' }),
        enqueue({ sendAfter: IN_AN_HOUR, idempotencyKey: 'b' }),
        send({ idempotencyKey: 'a' }),
        send({ idempotencyKey: 'b' }),
      ],
    ],
    [
      'it adds many messages, or none',
      [
        enqueue({ idempotencyKey: 'b' }),
        enqueueMany({ idempotencyKey: 'a' }, { idempotencyKey: 'a' }, { idempotencyKey: 'b' }),
        enqueueMany(),
        enqueueMany({}, { body: '' }, { userId: 'x' }),
        enqueueMany({ idempotencyKey: 'c' }, { idempotencyKey: 'c', body: 'Another' }),
        enqueueMany({}, { idempotencyKey: 'a', body: 'Another' }),
      ],
    ],
    [
      'it reads messages by id and by idempotency key',
      [
        enqueue({ idempotencyKey: 'a', metadata: { order: 1001 } }),
        get({ idempotencyKey: 'a' }),
        get({ id: 1 }),
        get({ id: 2 }),
        get({}),
        get({ id: 1, idempotencyKey: 'a' }),
        send({
          sendAfter: IN_AN_HOUR,
          sendWindow: OPEN_IN_AN_HOUR,
          timeZone: 'Europe/London',
        }),
        get({ id: 2 }),
      ],
    ],
    [
      'it cancels a message that waits, once',
      [
        enqueue({ idempotencyKey: 'a' }),
        cancel({ id: 1 }, ''),
        cancel({ id: 1 }, 'Order withdrawn'),
        cancel({ idempotencyKey: 'a' }, 'Another reason'),
        get({ id: 1 }),
        enqueue(),
        send({ idempotencyKey: 'a' }),
        cancelInTransaction({ id: 2 }),
        get({ id: 2 }),
        cancel({ id: 9 }),
        cancel({ id: 'x' }),
      ],
    ],
    ['it refuses to send after close()', [send(), close, send(), send({ body: '' }), close]],
  ])('%s', async (_what, calls) => {
    const world = await newWorld()
    const client = await appClient(world)
    const fake = createFakeSender()
    for (const call of calls) {
      const real = comparable(await outcomeOf(() => call(world.sender, client)))
      expect(comparable(await outcomeOf(() => call(fake, client)))).toEqual(real)
    }
    expect(fake.messages).toHaveLength(
      (await world.database.query('select from sms_usage_logs where user_id is not null')).length,
    )
  })

  test.each<[to: string, result: FakeResult]>([
    ['+15552161001', { status: 'failed', errorCode: 21610 }],
    ['+15552161101', { status: 'retry_scheduled', errorCode: 21611 }],
  ])('a scripted result for %s has the fields of a real one', async (to, result) => {
    const world = await newWorld()
    const fake = createFakeSender()
    fake.script({ result })
    const real = await world.sender.send(message({ to }))
    expect(real).toMatchObject(result)
    const faked = await fake.send(message({ to }))
    expect(faked).toMatchObject(result)
    // The real one describes more, and has its own time.
    const required = { failed: 'reason', retry_scheduled: 'nextRetryAt' }[result.status as 'failed']
    expect(typeof faked[required as 'reason']).toBe(typeof real[required as 'reason'])
    expect(faked[required as 'reason']).toBeTruthy()
  })
})

describe('scripts', () => {
  let fake: FakeSender
  beforeEach(() => {
    fake = createFakeSender()
  })

  const statusOf = async (changes: Partial<MessageInput> = {}): Promise<string> =>
    (await fake.send(message(changes))).status

  test('a script for a recipient applies to no other', async () => {
    fake.script({ to: NUMBER, result: { status: 'failed', errorCode: 21610 } })
    expect(await fake.send(message())).toEqual({
      id: 1,
      status: 'failed',
      errorCode: 21610,
      reason: 'The recipient has opted out (replied STOP)',
    })
    expect(await statusOf({ to: '+12065550188' })).toBe('accepted')
  })

  test('the latest script that matches is used, as often as it says', async () => {
    fake.script({ result: { status: 'failed' } })
    fake.script({ result: { status: 'in_doubt' }, times: 2 })
    expect([await statusOf(), await statusOf(), await statusOf()]).toEqual(['in_doubt', 'in_doubt', 'failed'])
  })

  test('a function decides by the message, or leaves it to earlier scripts', async () => {
    fake.script({ result: { status: 'in_doubt' } })
    fake.script(({ body }) => (body.includes('sale') ? { status: 'failed', errorCode: 30007 } : undefined))
    expect([await statusOf({ body: 'Our sale' }), await statusOf()]).toEqual(['failed', 'in_doubt'])
  })

  test('an error is thrown by `send` and `enqueue`, and nothing is recorded', async () => {
    fake.script({ error: new DatabaseError('The database is unavailable'), times: 2 })
    await expect(fake.send(message())).rejects.toThrow(DatabaseError)
    await expect(fake.enqueue(message(), { db: ADAPTER })).rejects.toThrow('The database is unavailable')
    expect(fake.messages).toEqual([])
    expect(await statusOf()).toBe('accepted')
  })

  test('invalid input is refused before a script is used', async () => {
    fake.script({ result: { status: 'failed' }, times: 1 })
    await expect(fake.send(message({ body: '' }))).rejects.toThrow(InvalidMessageError)
    expect(await statusOf()).toBe('failed')
  })

  test('sid and time of the next retry are filled in', async () => {
    fake.script({ result: { status: 'retry_scheduled', errorCode: 30003 } })
    const { nextRetryAt } = await fake.send(message())
    expect(nextRetryAt?.getTime()).toBeGreaterThan(Date.now())
    const at = new Date('2030-01-02T03:04:05Z')
    fake.script({ result: { status: 'retry_scheduled', nextRetryAt: at } })
    expect((await fake.send(message())).nextRetryAt).toEqual(at)
    fake.script({ result: { status: 'accepted', sid: 'SM1' } })
    expect((await fake.send(message())).sid).toBe('SM1')
  })
})

const ADAPTER: CallerTransaction = {
  executeSql: () => Promise.reject(new Error('the fake uses no database')),
}

describe('the messages', () => {
  test('are recorded as they were passed, with method, transaction and result', async () => {
    const fake = createFakeSender()
    const metadata = { order: 1001 }
    await fake.send(message({ metadata }))
    await fake.enqueue(message({ body: 'Thank you', idempotencyKey: 'order-1' }), { db: ADAPTER })
    expect(fake.messages).toEqual([
      {
        ...message({ metadata }),
        id: 1,
        via: 'send',
        db: null,
        isCanceled: false,
        result: { id: 1, status: 'accepted', sid: SID },
      },
      {
        ...message({ body: 'Thank you', idempotencyKey: 'order-1' }),
        id: 2,
        via: 'enqueue',
        db: ADAPTER,
        isCanceled: false,
        result: { id: 2, status: 'retry_scheduled', nextRetryAt: expect.any(Date) },
      },
    ])
    expect(fake.messages[1]?.db).toBe(ADAPTER)
  })

  test('are sent at any hour, whatever their send window', async () => {
    const fake = createFakeSender()
    for (let hour = 10; hour < 24; hour += 1) {
      const sendWindow = { from: `${hour - 1}:00`.padStart(5, '0'), to: `${hour}:00` }
      expect(await fake.send(message({ sendWindow }))).toMatchObject({ status: 'accepted' })
    }
  })

  test('may have a send window and no time zone if there is a fallback', async () => {
    const late = message({ to: NUMBER_WITHOUT_ZONE, sendWindow: { from: '08:00', to: '21:00' } })
    const fake = createFakeSender({ sendWindowFallbackTimeZone: 'Europe/London' })
    expect(await fake.send(late)).toMatchObject({ status: 'accepted' })
  })

  test('need a transaction to be enqueued', async () => {
    const fake = createFakeSender()
    for (const options of [undefined, {}, { db: {} }])
      await expect(fake.enqueue(message(), options as never)).rejects.toThrow(TypeError)
    expect(fake.messages).toEqual([])
  })

  test('can be read and canceled after a scripted result', async () => {
    const fake = createFakeSender({ userIdColumn: { type: 'uuid', isNullable: true } })
    fake.script({ result: { status: 'retry_scheduled', errorCode: 30003 }, times: 1 })
    const waiting = { to: NUMBER, body: 'Hello', idempotencyKey: 'a' }
    await fake.send(waiting)
    expect(await fake.get({ id: 1 })).toMatchObject({
      userId: null,
      status: 'retrying',
      success: false,
      attempts: [
        { number: 0, status: 'failed', errorCode: 30003 },
        { number: 1, status: 'pending' },
      ],
    })
    expect(await fake.cancel({ id: 1 })).toEqual({ canceled: true, status: 'canceled' })
    expect(fake.messages).toMatchObject([{ isCanceled: true }])
    const { id } = await fake.send({ ...waiting, idempotencyKey: 'b' })
    expect(await fake.cancel({ id })).toEqual({ canceled: false, status: 'queued' })
    await expect(fake.send(message())).rejects.toThrow('userId must be a uuid')
  })

  test('cannot be read or canceled after close()', async () => {
    const fake = createFakeSender()
    await fake.close()
    await expect(fake.get({ id: 1 })).rejects.toThrow(DatabaseError)
    await expect(fake.cancel({ id: 1 })).rejects.toThrow(DatabaseError)
  })

  test('reset() removes messages and scripts, and opens the sender again', async () => {
    const fake = createFakeSender()
    fake.script({ result: { status: 'failed' } })
    await fake.send(message({ idempotencyKey: 'a' }))
    await fake.close()
    fake.reset()
    expect(fake.messages).toEqual([])
    const result = await fake.send(message({ idempotencyKey: 'a', body: 'Another' }))
    expect(result).toMatchObject({ id: 1, status: 'accepted' })
  })

  test('a refused idempotency key is an error of its own class', async () => {
    const fake = createFakeSender()
    await fake.send(message({ idempotencyKey: 'a' }))
    const again = fake.send(message({ idempotencyKey: 'a', body: 'Another' }))
    await expect(again).rejects.toBeInstanceOf(IdempotencyKeyReusedError)
  })
})
