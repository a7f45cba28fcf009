// An idempotency key that comes again must come with the same message.
import type { KeyedMessage } from '../db/messages.ts'
import { IdempotencyKeyReusedError } from '../shared/errors.ts'
import type { CheckedMessage } from './message-input.ts'

/** @throws IdempotencyKeyReusedError if the row has another recipient, text or user than the message */
export function requireSameMessage(
  existing: Omit<KeyedMessage, 'idempotencyKey'>,
  message: CheckedMessage,
): void {
  if (isSameMessage(existing, message)) return
  throw new IdempotencyKeyReusedError(
    `The idempotency key belongs to message ${existing.id}, which has another recipient, text or user. ` +
      'Use a new key for a new message.',
  )
}

export function isSameMessage(
  { to, body, userId }: Pick<KeyedMessage, 'to' | 'body' | 'userId'>,
  message: CheckedMessage,
): boolean {
  // The text may have been deleted because of its age: then it is not compared.
  return to === message.to && (body === null || body === message.body) && userId === message.userId
}

/**
 * The messages by key, or by index if they have none.
 *
 * @throws IdempotencyKeyReusedError if two of them share a key and differ
 */
export function firstOfEachKey(
  messages: readonly CheckedMessage[],
): ReadonlyMap<string | number, CheckedMessage> {
  const firsts = new Map<string | number, CheckedMessage>()
  for (const [index, message] of messages.entries()) {
    const name = message.idempotencyKey ?? index
    const first = firsts.get(name)
    if (first === undefined) firsts.set(name, message)
    else if (!isSameMessage(first, message)) {
      throw new IdempotencyKeyReusedError(
        `Messages [${messages.indexOf(first)}] and [${index}] have the same idempotency key, but another recipient, text ` +
          'or user. Nothing was written. Use a new key for a new message.',
        [index],
      )
    }
  }
  return firsts
}

export const NO_ROW_WITH_KEY =
  'The message was not inserted, but no row has its idempotency key. Either a row with this key was just deleted, ' +
  'or a trigger discards new rows of sms_usage_logs'
