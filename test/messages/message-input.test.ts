// Tests the validation of messages with the real sender: invalid input is rejected before anything is written, and valid
// input at the limits is stored and submitted unchanged.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { OWN_METADATA_KEYS } from '../../src/db/message-row.ts'
import { InvalidMessageError } from '../../src/shared/errors.ts'
import type { MessageInput } from '../../src/messages/message-input.ts'
import { accept, type FakeTwilio, startFakeTwilio } from '../support/fake-twilio.ts'
import { startWorld, type World } from '../support/world.ts'

let twilio: FakeTwilio
let world: World
beforeAll(async () => {
  twilio = await startFakeTwilio(accept)
  world = await startWorld({ env: { TWILIO_API_BASE_URL: twilio.url } })
})
afterAll(async () => {
  await world.stop()
  await twilio.close()
})

async function rowCount(): Promise<number> {
  return (await world.database.query('select id from sms_usage_logs')).length
}

const SHARED = {}
const GOOD: MessageInput = { userId: 7, to: '+12065550199', body: 'Hello' }

function withCycle(): Record<string, unknown> {
  const cycle: Record<string, unknown> = {}
  return Object.assign(cycle, { cycle })
}

function throwing(): never {
  throw new Error('hush')
}

function endless(): object {
  return { toJSON: () => ({ a: endless() }) }
}

/** `depth` nested objects, including the outermost one. */
function nestedObjects(depth: number): Record<string, unknown> {
  let object: Record<string, unknown> = {}
  for (let i = 1; i < depth; i++) object = { object }
  return object
}

function nested(depth: number): Record<string, unknown> {
  return { value: JSON.parse('['.repeat(depth) + ']'.repeat(depth)) }
}

const inDays = (days: number): Date => new Date(Date.now() + days * 86_400_000)

describe('invalid input is rejected by name, before anything is written:', () => {
  test.each<[fault: string, change: Record<string, unknown>, named: string]>([
    ['no number', { to: undefined }, 'to'],
    ['an empty number', { to: '' }, 'to'],
    ['a number with a trunk zero', { to: '+4407700900103' }, 'to must be +447700900103'],
    ['a number without plus', { to: '12065550199' }, 'to'],
    ['a number with spaces', { to: '+1 206 555 0199' }, 'to'],
    ['a number with a line break', { to: '+12065550199\n' }, 'to'],
    ['a number that begins with 0', { to: '+02065550199' }, 'to'],
    ['a number with 16 digits', { to: '+1234567890123456' }, 'to'],
    ['a number with 6 digits', { to: '+123456' }, 'to'],
    ['a number with digits of another script', { to: '+١٢٠٦٥٥٥٠١٩٩' }, 'to'],
    ['another channel', { to: 'whatsapp:+12065550199' }, 'to'],
    ['several numbers', { to: ['+12065550199'] }, 'to'],
    ['no text', { body: undefined }, 'body'],
    ['an empty text', { body: '' }, 'body'],
    ['null as the text', { body: null }, 'body'],
    ['a number as the text', { body: 5 }, 'body'],
    ['a text of 1,601 characters', { body: 'x'.repeat(1601) }, 'body'],
    ['a text with NUL', { body: 'a\0b' }, 'body'],
    ['a text with a lone surrogate', { body: 'a\ud83d' }, 'body'],
    ['no user', { userId: undefined }, 'userId'],
    ['a text without digits as the user', { userId: 'seven' }, 'userId'],
    ['an empty text as the user', { userId: '' }, 'userId'],
    ['null as the user', { userId: null }, 'userId is required: the column user_id does not allow null'],
    ['a fraction as the user', { userId: 1.5 }, 'userId'],
    ['a user above the range of the column', { userId: 2_147_483_648 }, 'userId'],
    ['NaN as the user', { userId: Number.NaN }, 'userId'],
    ['an empty key', { idempotencyKey: '' }, 'idempotencyKey'],
    ['null as the key', { idempotencyKey: null }, 'idempotencyKey'],
    ['a key of 256 characters', { idempotencyKey: 'k'.repeat(256) }, 'idempotencyKey'],
    ['a key with NUL', { idempotencyKey: 'a\0' }, 'idempotencyKey'],
    ['a key with a lone surrogate', { idempotencyKey: '\udc00' }, 'idempotencyKey'],
    ['a validity of zero', { validForSeconds: 0 }, 'validForSeconds'],
    ['a negative validity', { validForSeconds: -1 }, 'validForSeconds'],
    ['a validity of half a second', { validForSeconds: 0.5 }, 'validForSeconds'],
    ['a validity above 30 days', { validForSeconds: 2_592_001 }, 'validForSeconds'],
    ['an infinite validity', { validForSeconds: Number.POSITIVE_INFINITY }, 'validForSeconds'],
    ['a text as the time', { sendAfter: '2030-01-01T00:00:00Z' }, 'sendAfter must be a Date'],
    ['an invalid date', { sendAfter: new Date(Number.NaN) }, 'sendAfter'],
    ['a time more than a year ahead', { sendAfter: inDays(367) }, 'sendAfter must be at most a year ahead'],
    [
      'a time at the end of the validity',
      { sendAfter: inDays(1), validForSeconds: 86_400 - 60 },
      'sendAfter must be before the end of validForSeconds',
    ],
    ['a window that is a word', { sendWindow: 'never' }, 'sendWindow must be two times of day'],
    ['a window without an end', { sendWindow: { from: '08:00' } }, "or 'any'"],
    [
      'a window that ends when it begins',
      { sendWindow: { from: '08:00', to: '08:00' } },
      'sendWindow must begin',
    ],
    ['null as the window', { sendWindow: null }, 'sendWindow'],
    ['a time zone that does not exist', { timeZone: 'Mars/Olympus' }, 'timeZone must be a time zone'],
    ['null as the time zone', { timeZone: null }, 'timeZone'],
    [
      'a window without a time zone, for a number that shows none',
      { to: '+18005550199', sendWindow: { from: '08:00', to: '21:00' } },
      'timeZone is required',
    ],
    ['null as metadata', { metadata: null }, 'metadata'],
    ['an array as metadata', { metadata: [1] }, 'metadata'],
    ['a string as metadata', { metadata: 'x' }, 'metadata'],
    ['a date as metadata, which is a string in JSON', { metadata: new Date(0) }, 'metadata'],
    ['metadata that is an array in JSON', { metadata: { toJSON: () => [1] } }, 'metadata'],
    ['metadata that is undefined in JSON', { metadata: { toJSON: () => undefined } }, 'metadata'],
    ['metadata with a cycle', { metadata: withCycle() }, 'metadata'],
    ['metadata with a BigInt', { metadata: { n: 1n } }, 'metadata'],
    ['metadata with NUL', { metadata: { a: { b: ['\0'] } } }, 'metadata'],
    ['metadata with NUL in a key', { metadata: { 'a\0': 1 } }, 'metadata'],
    ['metadata with a lone surrogate', { metadata: { a: '\ud800' } }, 'metadata'],
    ['metadata of more than 16 KiB', { metadata: { a: 'x'.repeat(16_384) } }, 'metadata'],
    ...OWN_METADATA_KEYS.map((key): [string, Record<string, unknown>, string] => [
      `metadata with our key ${key}`,
      { metadata: { [key]: 1 } },
      key,
    ]),
    ['an unknown field', { recipient: '+12065550188' }, 'recipient'],
  ])('%s', async (_fault, change, named) => {
    const input = { ...GOOD, ...change } as MessageInput
    const before = { rows: await rowCount(), posts: twilio.posts.length }
    const refusals = await Promise.allSettled([
      world.sender.send(input),
      world.sender.enqueue(input, { db: noDatabase }),
    ])
    for (const refusal of refusals) {
      expect(refusal).toMatchObject({ status: 'rejected', reason: expect.any(InvalidMessageError) })
      expect(refusal).toMatchObject({
        reason: { code: 'INVALID_MESSAGE', message: expect.stringContaining(named) },
      })
    }
    expect({ rows: await rowCount(), posts: twilio.posts.length }).toEqual(before)
  })

  test.each<[string, Record<string, unknown>, string]>([
    [
      'a number with an invisible character',
      { to: '+1206555\u200B0199' },
      'U+200B ZERO WIDTH SPACE as character 9',
    ],
    [
      'a number with a directional mark',
      { to: '\u202A+12065550199' },
      'U+202A LEFT-TO-RIGHT EMBEDDING as character 1',
    ],
    ['a number with a carriage return', { to: '+12065550199\r' }, 'U+000D CARRIAGE RETURN as character 13'],
    ['a number with a typographic dash', { to: '+1206\u2011555' }, 'U+2011 NON-BREAKING HYPHEN'],
    [
      'a number in fullwidth digits',
      { to: '+１２０６５５５０１９９' },
      'a fullwidth character as character 2',
    ],
    ['a number with punctuation', { to: '+1 (206) 555-0199' }, 'leave out spaces, brackets, dots, dashes'],
    ['a number that begins with 00', { to: '0012065550199' }, 'write + in place of 00'],
    ['a national number', { to: '(206) 555-0199' }, 'begin with + and the country code'],
    ['a link', { to: 'tel:+12065550199' }, 'leave out the word before the number'],
    ['metadata that is too deep', { metadata: nested(1001) }, 'at most 1000 nested objects and arrays'],
    ['metadata that is far too deep', { metadata: nested(8000) }, 'at most 1000 nested objects and arrays'],
    ['too many nested objects', { metadata: nestedObjects(1002) }, 'at most 1000 nested objects and arrays'],
    ['an endless toJSON', { metadata: { a: endless() } }, 'at most 1000 nested objects and arrays'],
    ['a cycle', { metadata: withCycle() }, 'must have no cycle'],
    ['an indirect cycle', { metadata: { a: [withCycle()] } }, 'must have no cycle'],
    ['a BigInt', { metadata: { a: [1n] } }, 'must have no BigInt'],
    [
      'a toJSON that throws',
      { metadata: { a: { toJSON: throwing } } },
      'a toJSON method or a getter in it throws',
    ],
    [
      'a getter that throws',
      { metadata: Object.defineProperty({}, 'a', { enumerable: true, get: throwing }) },
      'getter',
    ],
    [
      'a key of ours that toJSON gives',
      { metadata: { toJSON: () => ({ attempts: [] }) } },
      'the keys attempts',
    ],
  ])('%s is rejected with what is wrong', async (_what, change, words) => {
    const input = { ...GOOD, ...change } as MessageInput
    const error: unknown = await world.sender.send(input).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(InvalidMessageError)
    expect((error as Error).message).toContain(words)
    expect((error as Error).message).not.toMatch(/hush|206/)
  })

  test('all faults of a message are reported together, without values', async () => {
    const input = { userId: 1.5, to: '+1-hush-number', body: '', idempotencyKey: `${'hush'.repeat(100)}` }
    const error = await world.sender.send(input).catch((thrown: Error) => thrown)
    expect(error).toBeInstanceOf(InvalidMessageError)
    const { message: text } = error as Error
    for (const name of ['userId', 'to', 'body', 'idempotencyKey']) expect(text).toContain(name)
    expect(text).not.toContain('hush')
  })

  test.each([[undefined], [null], ['Hello'], [7]])('%p instead of a message is rejected', async (input) => {
    await expect(world.sender.send(input as never)).rejects.toThrow(InvalidMessageError)
  })

  /** Invalid input must not even reach the database. */
  const noDatabase = {
    executeSql: () => Promise.reject(new Error('the database was asked')),
  }
})

describe('valid input at the limit is stored and submitted unchanged:', () => {
  test.each<[what: string, change: Partial<MessageInput>, column: string, stored: unknown]>([
    ['a text of 1,600 characters', { body: 'x'.repeat(1600) }, 'message_length', 1600],
    ['a text of 1,600 emoji', { body: '👍'.repeat(1600) }, 'message_length', 1600],
    ['a text of a single space', { body: ' ' }, 'message_content', ' '],
    ['a text that looks like SQL', { body: `'); drop table x; -- $1` }, 'message_length', 23],
    ['the shortest number', { to: '+1234567' }, 'phone_number', '+1234567'],
    ['the longest number', { to: '+123456789012345' }, 'phone_number', '+123456789012345'],
    ['the largest user', { userId: 2_147_483_647 }, 'user_id', 2_147_483_647],
    ['the smallest user', { userId: -2_147_483_648 }, 'user_id', -2_147_483_648],
    ['user 0', { userId: 0 }, 'user_id', 0],
    ['a user as a text of digits', { userId: '7' }, 'user_id', 7],
    ['a user as a bigint', { userId: 7n }, 'user_id', 7],
    ['a text with CR, LF and tab', { body: 'a\r\n\tb' }, 'message_content', 'a\r\n\tb'],
  ])('%s', async (_what, change, column, stored) => {
    const { id } = await world.sender.send({ ...GOOD, ...change })
    const [row] = await world.database.query('select * from sms_usage_logs where id = $1', [id])
    expect(row?.[column]).toEqual(stored)
    expect(twilio.posts.at(-1)?.fields).toMatchObject({
      To: change.to ?? GOOD.to,
      Body: change.body ?? GOOD.body,
    })
  })

  test.each<[string, Partial<MessageInput>]>([
    ['a key of 255 characters of four bytes', { idempotencyKey: '👍'.repeat(127) }],
    ['a key that looks like JSON', { idempotencyKey: '{"a": "\\u0000"}' }],
    ['a validity of one second', { validForSeconds: 1 }],
    ['a validity of 30 days', { validForSeconds: 2_592_000 }],
    ['a time in the past', { sendAfter: inDays(-1000) }],
    ['an urgent message', { sendWindow: 'any' }],
    ['a time zone without a window', { timeZone: 'Europe/Berlin' }],
    ['no metadata', { metadata: {} }],
    ['metadata without a prototype', { metadata: Object.assign(Object.create(null), { a: 1 }) }],
    ['metadata with a property that JSON leaves out', { metadata: { a: undefined, b: () => 1 } }],
    ['deeply nested metadata', { metadata: nested(1000) }],
    ['deeply nested objects', { metadata: nestedObjects(1001) }],
    ['metadata with the same object twice', { metadata: { a: SHARED, b: [SHARED, SHARED] } }],
    ['metadata with a key of Object.prototype', { metadata: { constructor: 1, toString: 'x' } }],
    ['options that are undefined', { idempotencyKey: undefined, validForSeconds: undefined }],
  ])('%s', async (_what, change) => {
    expect(await world.sender.send({ ...GOOD, ...change })).toMatchObject({ status: 'accepted' })
  })
})

test('the metadata that was checked is stored, even if toJSON returns something else the next time', async () => {
  let times = 0
  const metadata = { order: { toJSON: () => (times++ === 0 ? 'first' : '\0') } }
  const { id } = await world.sender.send({ ...GOOD, metadata })
  const [row] = await world.database.query('select sms_metadata from sms_usage_logs where id = $1', [id])
  expect(row?.['sms_metadata']).toMatchObject({ order: 'first' })
})
