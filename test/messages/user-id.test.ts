// The user id of a message in each type that the column `user_id` can have: what is accepted, and how it comes back.
import { describe, expect, test } from '@jest/globals'
import type { UserIdColumn } from '../../src/db/user-id-column.ts'
import type { MessageInput } from '../../src/messages/message-input.ts'
import { checkUserId } from '../../src/messages/user-id.ts'
import { openSender } from '../../src/processes/sender.ts'
import { IdempotencyKeyReusedError, InvalidMessageError } from '../../src/shared/errors.ts'
import { accept } from '../support/fake-twilio.ts'
import { appClient, closeLater, message, newWorldWith, rowsOf } from '../support/world-with.ts'

const UUID = '0b5c0d1e-1f2a-4b3c-8d4e-5f6a7b8c9d0e'
const column = (type: UserIdColumn['type'], maxLength: number | null = null): UserIdColumn => ({
  type,
  isNullable: false,
  maxLength,
})

test.each<[column: UserIdColumn, input: unknown, value: string]>([
  [column('integer'), 7, '7'],
  [column('integer'), '007', '7'],
  [column('integer'), -2_147_483_648n, '-2147483648'],
  [column('bigint'), '9223372036854775807', '9223372036854775807'],
  [column('bigint'), -9_223_372_036_854_775_808n, '-9223372036854775808'],
  [column('bigint'), Number.MAX_SAFE_INTEGER, '9007199254740991'],
  [column('uuid'), UUID.toUpperCase(), UUID],
  [column('text'), 'ada', 'ada'],
  [column('text'), 7, '7'],
  [column('text', 3), '🎉🎉🎉', '🎉🎉🎉'],
  [column('text'), 'x'.repeat(255), 'x'.repeat(255)],
])('a column %j takes the user id %p', (userIdColumn, input, value) => {
  expect(checkUserId(input, userIdColumn)).toEqual({ value })
})

test.each<[column: UserIdColumn, input: unknown, fault: string]>([
  [column('integer'), 2_147_483_648, 'must be a whole number from'],
  [column('integer'), '-2147483649', 'must be a whole number from'],
  [column('integer'), UUID, 'must be a whole number from'],
  [column('integer'), {}, 'must be a whole number from'],
  [column('bigint'), 2 ** 53, 'must be a whole number, a bigint or a text of digits'],
  [column('bigint'), '9223372036854775808', 'must be a whole number, a bigint or a text of digits'],
  [column('bigint'), '7.0', 'must be a whole number, a bigint or a text of digits'],
  [column('uuid'), 7, 'must be a uuid, as the column user_id is'],
  [column('uuid'), UUID.replaceAll('-', ''), 'must be a uuid, as the column user_id is'],
  [column('text', 3), 'adal', 'must be a text of 1 to 3 characters, as the column user_id is'],
  [column('text'), '', 'must be a text of 1 to 255 characters'],
  [column('text'), 'x'.repeat(256), 'must be a text of 1 to 255 characters'],
  [column('text'), 'a\0', 'must be a text'],
  [column('text'), '\ud800', 'must be a text'],
  [column('text'), true, 'must be a text'],
])('a column %j does not take the user id %p', (userIdColumn, input, fault) => {
  expect(checkUserId(input, userIdColumn)).toEqual({ fault: expect.stringContaining(fault) })
})

test.each([
  'integer',
  'bigint',
  'uuid',
  'text',
] as const)('a user id may be left out only if the %s column allows null', (type) => {
  for (const missing of [undefined, null]) {
    expect(checkUserId(missing, { ...column(type), isNullable: true })).toEqual({ value: null })
    expect(checkUserId(missing, column(type))).toEqual({
      fault: 'is required: the column user_id does not allow null',
    })
  }
})

describe.each<
  [type: string, given: MessageInput['userId'], stored: number | string, other: MessageInput['userId']]
>([
  ['integer', 7, 7, 8],
  ['bigint', '7', 7, 8n],
  ['bigint', 9_007_199_254_740_993n, '9007199254740993', '9007199254740992'],
  ['uuid', UUID.toUpperCase(), UUID, UUID.replace('0', '1')],
  ['text', '007', '007', '7'],
  ['varchar(12)', 'ada', 'ada', 'Ada'],
])('with a column user_id of type %s, the user %p', (type, given, stored, other) => {
  test('is stored by send, enqueue and enqueueMany, comes back, and belongs to the idempotency key', async () => {
    const { world, twilio } = await newWorldWith(accept)
    await world.database.query(
      `alter table sms_usage_logs alter column user_id type ${type}${type === 'uuid' ? ' using null' : ''},
                                  alter column user_id drop not null`,
    )
    const sender = await openSender(world.openRuntime())
    closeLater(() => sender.close())
    const db = await appClient(world)
    const keyed = (userId: MessageInput['userId'], key: string): MessageInput =>
      message({ userId, idempotencyKey: key })

    const { id } = await sender.send(keyed(given, 'sent'))
    const enqueued = await sender.enqueue(keyed(given, 'enqueued'), { db })
    const [many, without] = await sender.enqueueMany([keyed(given, 'many'), keyed(undefined, 'none')], { db })
    const ids = [id, enqueued.id, many?.id ?? 0, without?.id ?? 0]
    const found = await Promise.all(ids.map((each) => sender.get({ id: each })))
    expect(found.map((each) => each?.userId)).toEqual([stored, stored, stored, null])

    expect(await sender.send(keyed(given, 'enqueued'))).toMatchObject({ id: enqueued.id })
    expect(await sender.enqueue(keyed(given, 'sent'), { db })).toEqual({ id, created: false })
    expect(await sender.enqueue(keyed(null, 'none'), { db })).toEqual({ id: without?.id, created: false })
    for (const userId of [other, null]) {
      for (const call of [
        sender.send(keyed(userId, 'sent')),
        sender.enqueue(keyed(userId, 'sent'), { db }),
        sender.enqueueMany([keyed(userId, 'sent')], { db }),
      ])
        await expect(call).rejects.toBeInstanceOf(IdempotencyKeyReusedError)
    }
    await expect(sender.send(message({ userId: {} as never }))).rejects.toBeInstanceOf(InvalidMessageError)
    expect(twilio.posts).toHaveLength(1)
    expect(await rowsOf(world)).toHaveLength(4)
  })
})
