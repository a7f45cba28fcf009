// What the app and the commands see of a message. The fields are public: they are added, never renamed.
import { findByIdempotencyKey, findMessage, type StoredMessage } from '../db/messages.ts'
import type { Attempt } from '../delivery/message.ts'
import type { Database } from '../postgres/pool.ts'
import { checkRef, type MessageRef } from './message-ref.ts'

export type AttemptView = Pick<
  Attempt,
  | 'number'
  | 'sid'
  | 'status'
  | 'errorCode'
  | 'errorText'
  | 'postponements'
  | 'excused'
  | 'account'
  | 'sender'
  | 'segments'
  | 'price'
  | 'times'
>

/** A message as `sender.get` returns it. Its `metadata` has the app's own keys. Not for logs: it has number and text. */
export interface MessageView
  extends Pick<
    StoredMessage,
    | 'id'
    | 'userId'
    | 'to'
    | 'body'
    | 'status'
    | 'success'
    | 'reason'
    | 'retryCount'
    | 'maxRetries'
    | 'nextRetryAt'
    | 'sid'
    | 'deadline'
    | 'sendAfter'
    | 'sendWindow'
    | 'timeZone'
    | 'processingTimeMs'
    | 'createdAt'
    | 'idempotencyKey'
    | 'metadata'
  > {
  readonly attempts: readonly AttemptView[]
}

export async function getMessage(database: Database, ref: MessageRef): Promise<MessageView | null> {
  const named = checkRef(ref)
  const found = await ('id' in named
    ? findMessage(database, named.id)
    : findByIdempotencyKey(database, named.idempotencyKey))
  return found === null ? null : toMessageView(found)
}

export function toMessageView(message: StoredMessage): MessageView {
  return {
    id: message.id,
    userId: message.userId,
    to: message.to,
    body: message.body,
    status: message.status,
    success: message.success,
    reason: message.reason,
    retryCount: message.retryCount,
    maxRetries: message.maxRetries,
    nextRetryAt: message.nextRetryAt,
    sid: message.sid,
    deadline: message.deadline,
    sendAfter: message.sendAfter,
    sendWindow: message.sendWindow,
    timeZone: message.timeZone,
    processingTimeMs: message.processingTimeMs,
    createdAt: message.createdAt,
    attempts: message.attempts.map(toAttemptView),
    idempotencyKey: message.idempotencyKey,
    metadata: message.metadata,
  }
}

function toAttemptView(attempt: Attempt): AttemptView {
  const { number, sid, status, errorCode, errorText, postponements, excused, account, sender } = attempt
  const { segments, price, times } = attempt
  return {
    number,
    sid,
    status,
    errorCode,
    errorText,
    postponements,
    excused,
    account,
    sender,
    segments,
    price,
    times,
  }
}
