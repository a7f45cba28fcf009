// A message of the fake sender, and what `send`, `get` and `cancel` return for it.
import { randomBytes } from 'node:crypto'
import type { UserIdType } from '../db/user-id-column.ts'
import { newAttempt } from '../delivery/attempts.ts'
import { reasonOf } from '../delivery/error-codes.ts'
import { addSeconds } from '../delivery/seconds.ts'
import { type AttemptStatus, type DeliveryStatus, isFailure } from '../delivery/status.ts'
import type { CheckedMessage, MessageInput } from '../messages/message-input.ts'
import type { AttemptView, MessageView } from '../messages/message-view.ts'
import type { SendResult } from '../messages/send-message.ts'
import type { CallerTransaction } from '../postgres/pool.ts'
import type { FakeResult } from './scripts.ts'

/** A message as the app passed it, and the result. */
export interface FakeMessage extends MessageInput {
  /** 1 for the first message. */
  readonly id: number
  /** The method that added it. */
  readonly via: 'send' | 'enqueue' | 'enqueueMany'
  /** The transaction that was passed with it; null for `send`. */
  readonly db: CallerTransaction | null
  /** What `send` returns for it: for an enqueued message, to a later `send` with its idempotency key. */
  readonly result: SendResult
  /** True after `cancel`. */
  readonly isCanceled: boolean
}

/** The part of it that is known before it has an id. */
export type PassedMessage = Omit<FakeMessage, 'id' | 'result' | 'isCanceled'>

/** The message with its checked input. */
export interface StoredFake {
  readonly checked: CheckedMessage
  readonly createdAt: Date
  readonly message: FakeMessage
}

const DEFAULT_DELAY_SECONDS = 120

/** Fills in what the real sender always returns with this status. */
export function toSendResult(id: number, fake: FakeResult): SendResult {
  const { status } = fake
  switch (status) {
    case 'accepted':
      return { ...fake, id, status, sid: fake.sid ?? `SM${randomBytes(16).toString('hex')}` }
    case 'retry_scheduled':
      return {
        ...fake,
        id,
        status,
        nextRetryAt: fake.nextRetryAt ?? addSeconds(new Date(), DEFAULT_DELAY_SECONDS),
      }
    case 'failed':
      return { ...fake, id, status, reason: fake.reason ?? reasonOf(fake.errorCode ?? null) }
    case 'in_doubt':
      return { ...fake, id, status }
  }
}

/** The status that its row would have. */
export function statusOf({ isCanceled, result }: FakeMessage): DeliveryStatus {
  if (isCanceled) return 'canceled'
  switch (result.status) {
    case 'accepted':
      return 'queued'
    case 'retry_scheduled':
      return result.errorCode === undefined ? 'pending' : 'retrying'
    case 'failed':
      return 'failed'
    case 'in_doubt':
      return 'submitting'
  }
}

/** @param maxRetries of a policy without overrides */
export function toFakeView(stored: StoredFake, userIdType: UserIdType, maxRetries: number): MessageView {
  const { checked, createdAt, message } = stored
  const { to, body, validForSeconds, sendAfter, sendWindow, timeZone, idempotencyKey, metadata } = checked
  const { id, result } = message
  const status = statusOf(message)
  const attempts = attemptsOf(stored, status)
  const due = result.nextRetryAt ?? null
  return {
    id,
    userId: readUserId(checked.userId, userIdType),
    to,
    body,
    status,
    success: !isFailure(status),
    reason: result.reason ?? null,
    retryCount: status === 'retrying' ? 1 : 0,
    maxRetries,
    // Null if it has been due since it exists.
    nextRetryAt: due !== null && due > createdAt ? due : null,
    sid: result.sid ?? null,
    deadline: validForSeconds === null ? null : addSeconds(createdAt, validForSeconds),
    sendAfter,
    sendWindow,
    timeZone,
    processingTimeMs: null,
    createdAt,
    attempts,
    idempotencyKey,
    metadata,
  }
}

/** The attempt of `send`, and the one that waits. */
function attemptsOf({ createdAt, message }: StoredFake, status: DeliveryStatus): AttemptView[] {
  const { sid = null, errorCode = null } = message.result
  const made = (attempt: AttemptStatus): AttemptView => ({
    ...newAttempt(0, attempt, createdAt),
    sid,
    errorCode,
  })
  switch (status) {
    case 'queued':
    case 'failed':
    case 'submitting':
      return [made(status)]
    case 'retrying':
      return [made('failed'), newAttempt(1, 'pending', createdAt)]
    default:
      return [newAttempt(0, 'pending', createdAt)]
  }
}

function readUserId(text: string | null, type: UserIdType): number | string | null {
  if (text === null || type === 'uuid' || type === 'text') return text
  return Number.isSafeInteger(Number(text)) ? Number(text) : text
}
