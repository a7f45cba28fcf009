// Use case: the app sends a message. `sendMessage` records it, submits it and records the answer. `enqueueMessage` adds
// the row and its job in the caller's transaction, and a worker submits it.
import { randomBytes } from 'node:crypto'
import {
  findByIdempotencyKey,
  insertMessage,
  isInserted,
  type NewMessage,
  type StoredMessage,
} from '../db/messages.ts'
import type { Db } from '../postgres/pool.ts'
import type { Message } from '../delivery/message.ts'
import { firstLookupSeconds } from '../delivery/reconcile-time.ts'
import { maxRetriesOf, type RetryPolicy } from '../delivery/retry-policy.ts'
import type { DeliveryStatus } from '../delivery/status.ts'
import { DatabaseError, IdempotencyKeyReusedError } from '../shared/errors.ts'
import { type CheckedMessage, checkMessage, type MessageInput } from './message-input.ts'
import type { Queue } from '../jobs/queue.ts'
import { type AttemptDeps, startStopwatch, submitAttempt } from './run-attempts.ts'

export interface SendResult {
  /** The row's id. */
  readonly id: number
  /**
   * - `accepted`: Twilio has the message. Status callbacks report what follows.
   * - `retry_scheduled`: it failed, or waits for its first attempt. The worker makes the next attempt at `nextRetryAt`.
   * - `failed`: it failed for good, was canceled, or its deadline passed.
   * - `in_doubt`: it is not known whether Twilio has it. It is not submitted again before that is known.
   */
  readonly status: 'accepted' | 'retry_scheduled' | 'failed' | 'in_doubt'
  /** Twilio's id of the latest attempt that it accepted. */
  readonly sid?: string
  /** Twilio's code of the latest failure. */
  readonly errorCode?: number
  readonly nextRetryAt?: Date
}

export interface EnqueueResult {
  readonly id: number
  /** False if the idempotency key already existed: nothing was added. */
  readonly created: boolean
}

/**
 * @throws InvalidMessageError if the input is invalid: nothing was written
 * @throws DatabaseError if the database failed before the request: nothing was submitted; `written` tells whether the row
 *   was written
 */
export async function sendMessage(deps: AttemptDeps, input: MessageInput): Promise<SendResult> {
  const message = checkMessage(input)
  await deps.twilio.ready()
  const sinceClaim = startStopwatch()
  const row = toNewMessage(message, deps.twilio.identity, deps.policy)
  const inserted = await insertConfirmed(deps, row)
  if (inserted === null) {
    const existing = await findExisting(deps.database, message).catch((error: unknown) =>
      throwNotSubmitted(error, 'no'),
    )
    const { id: messageId, retryCount: attempt, status } = existing
    deps.logger.debug('Not sent: a message with this idempotency key already exists', {
      messageId,
      attempt,
      status,
    })
    return toResult(existing)
  }
  const { id, insertedAt: claimedAt } = inserted
  const submission = {
    messageId: id,
    key: row.key,
    attempt: 0,
    claimedAt,
    to: message.to,
    body: message.body,
    validitySeconds: message.validForSeconds,
  }
  try {
    return toResult(await submitAttempt(deps, submission, sinceClaim))
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error
    // Twilio may have the message. Its row is `submitting`, so it is reconciled.
    return { id, status: 'in_doubt' }
  }
}

function insertConfirmed({ database }: AttemptDeps, row: NewMessage): ReturnType<typeof insertMessage> {
  return database
    .confirmedTransaction((tx) => insertMessage(tx, row), {
      name: row.key,
      isWritten: async (tx, inserted) => inserted === null || (await isInserted(tx, inserted.id, row.key)),
    })
    .catch((error: unknown) => throwNotSubmitted(error))
}

const RECORDED = {
  no: 'and the message was not recorded: send it again',
  refused: 'and sending it again will not help: the database refuses its row',
  unknown:
    'but it is not known whether the message was recorded. If it was, a worker will send it. Send it again with the ' +
    'same idempotencyKey. If the message has none, check whether its row exists before you send it again',
}

/** @param written used instead of `written` of the error */
function throwNotSubmitted(error: unknown, written?: DatabaseError['written']): never {
  if (!(error instanceof DatabaseError)) throw error
  const writtenState = written ?? error.written
  const text = `Nothing was submitted, ${RECORDED[error.isRefusal ? 'refused' : writtenState]}. ${error.message}`
  throw new DatabaseError(text, { cause: error.cause, written: writtenState, scope: error.scope })
}

/**
 * Adds the row and its job in the caller's transaction: both exist after its commit, and neither after a rollback.
 *
 * @throws InvalidMessageError if the input is invalid: nothing was written
 */
export async function enqueueMessage(
  deps: { readonly queue: Queue; readonly policy: RetryPolicy },
  tx: Db,
  input: MessageInput,
): Promise<EnqueueResult> {
  const message = checkMessage(input)
  const row = toNewMessage(message, null, deps.policy)
  const inserted = await insertMessage(tx, row)
  if (inserted === null) return { id: (await findExisting(tx, message)).id, created: false }
  const { id } = inserted
  await deps.queue.schedule(tx, [{ messageId: id, key: row.key, attempt: 0, postponements: 0, at: null }])
  return { id, created: true }
}

/** The key in base64url must match MESSAGE_KEY. */
const KEY_BYTES = 12

/** @param identity account and sender of its first attempt; null if it waits for a worker */
function toNewMessage(
  message: CheckedMessage,
  identity: NewMessage['identity'],
  policy: RetryPolicy,
): NewMessage {
  const status = identity === null ? 'pending' : 'submitting'
  const reconcileAfterSeconds = firstLookupSeconds(status, policy.delayScale)
  const key = randomBytes(KEY_BYTES).toString('base64url')
  return { ...message, key, status, identity, maxRetries: maxRetriesOf(policy), reconcileAfterSeconds }
}

/** The existing row with this message's idempotency key. */
async function findExisting(db: Db, message: CheckedMessage): Promise<StoredMessage> {
  const { idempotencyKey } = message
  const existing = idempotencyKey === null ? null : await findByIdempotencyKey(db, idempotencyKey)
  if (existing === null)
    throw new DatabaseError(
      'The message was not inserted, but no row has its idempotency key. Either a row with this key was just deleted, ' +
        'or a trigger discards new rows of sms_usage_logs',
    )
  // The text may have been deleted because of its age: then it is not compared.
  const isSameText = existing.body === null || existing.body === message.body
  // The caller's driver may return the id as a string or a bigint.
  const isSameUser = Number(existing.userId) === message.userId
  if (existing.to !== message.to || !isSameText || !isSameUser) {
    throw new IdempotencyKeyReusedError(
      `The idempotency key belongs to message ${existing.id}, which has another recipient, text or user. ` +
        'Use a new key for a new message.',
    )
  }
  return existing
}

function toResult(message: Message): SendResult {
  const { id, status, sid, nextRetryAt } = message
  const errorCode = message.attempts.findLast((attempt) => attempt.errorCode !== null)?.errorCode
  return {
    id,
    status: resultStatus(status),
    ...(sid === null ? {} : { sid }),
    ...(errorCode === undefined || errorCode === null ? {} : { errorCode }),
    ...(nextRetryAt === null ? {} : { nextRetryAt }),
  }
}

function resultStatus(status: DeliveryStatus): SendResult['status'] {
  switch (status) {
    case 'pending':
    case 'retrying':
      return 'retry_scheduled'
    case 'submitting':
      return 'in_doubt'
    case 'undelivered':
    case 'failed':
    case 'expired':
    case 'canceled':
      return 'failed'
    default:
      return 'accepted'
  }
}
