// sender.get(): a message by its id or its idempotency key, as the app sees it.
import { expect, test } from '@jest/globals'
import { InvalidMessageError } from '../../src/shared/errors.ts'
import type { MessageRef } from '../../src/messages/message-ref.ts'
import { accept } from '../support/fake-twilio.ts'
import { message, newWorld, newWorldWith, rowOf } from '../support/world-with.ts'

test('get() returns the row with its attempts and the metadata of the app, by id and by idempotency key', async () => {
  const { world } = await newWorldWith(accept, { RETRY_DELAY_SCALE: '1' })
  const metadata = { order: 1001, tags: ['a', { b: null }] }
  const input = message({
    idempotencyKey: 'order-1001',
    metadata,
    timeZone: 'America/New_York',
    sendWindow: 'any',
  })
  const { id, sid } = await world.sender.send(input)
  const view = await world.sender.get({ id })
  expect(view).toEqual({
    id,
    userId: 7,
    to: input.to,
    body: input.body,
    status: 'queued',
    success: true,
    reason: null,
    retryCount: 0,
    maxRetries: 3,
    nextRetryAt: null,
    sid,
    deadline: null,
    sendAfter: null,
    sendWindow: 'any',
    timeZone: 'America/New_York',
    processingTimeMs: expect.any(Number),
    createdAt: expect.any(Date),
    attempts: [
      {
        number: 0,
        sid,
        status: 'queued',
        errorCode: null,
        errorText: null,
        postponements: 0,
        excused: false,
        account: world.env['TWILIO_ACCOUNT_SID'],
        sender: world.env['TWILIO_FROM_NUMBER'],
        segments: null,
        price: null,
        times: expect.any(Object),
      },
    ],
    idempotencyKey: 'order-1001',
    metadata,
  })
  expect(await world.sender.get({ idempotencyKey: 'order-1001' })).toEqual(view)
})

test('get() returns null for a message that does not exist, and for a row that sms-retry does not manage', async () => {
  const world = await newWorld()
  const [row] = await world.database.query<{ id: number }>(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length)
     values (7, '+12065550199', 'inbound', 5) returning id`,
  )
  expect(await world.sender.get({ id: row?.id ?? 0 })).toBeNull()
  expect(await world.sender.get({ id: 2_000_000_000 })).toBeNull()
  expect(await world.sender.get({ id: Number.MAX_SAFE_INTEGER })).toBeNull()
  expect(await world.sender.get({ idempotencyKey: 'nobody' })).toBeNull()
})

test.each([
  ['"text"', { app_metadata: 'text' }],
  ['[1, 2]', { app_metadata: [1, 2] }],
  [null, {}],
  ['{"callback_key": "x", "attempts": 1, "mine": 1}', { mine: 1 }],
])('get() shows the metadata %s of a row that the app wrote', async (stored, metadata) => {
  const world = await newWorld()
  const [row] = await world.database.query<{ id: number }>(
    `insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, final_status, sms_metadata)
     values (7, '+12065550199', 'outbound', 5, 'delivered', $1) returning id`,
    [stored],
  )
  expect(await world.sender.get({ id: row?.id ?? 0 })).toMatchObject({ metadata, idempotencyKey: null })
})

test.each<[unknown]>([
  [{}],
  [{ id: 1, idempotencyKey: 'a' }],
  [{ id: 1.5 }],
  [{ id: '1' }],
  [{ idempotencyKey: 1 }],
  [{ idempotencyKey: 'a\0' }],
  [7],
  [null],
  [undefined],
])('get() and cancel() reject %p, which names no message', async (ref) => {
  const world = await newWorld()
  const { id } = await world.sender.send(message())
  await world.simulator.idle()
  const before = await rowOf(world, id)
  await expect(world.sender.get(ref as MessageRef)).rejects.toBeInstanceOf(InvalidMessageError)
  await expect(world.sender.cancel(ref as MessageRef)).rejects.toBeInstanceOf(InvalidMessageError)
  expect(await rowOf(world, id)).toEqual(before)
})
