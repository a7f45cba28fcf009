// Use case: the app sends a message. It is recorded, submitted, and the answer is recorded.
import { readAccountState } from '../db/account-row.ts'
import { insertMessages } from '../db/insert-messages.ts'
import { findByIdempotencyKey, isInserted, type StoredMessage } from '../db/messages.ts'
import type { UserIdColumn } from '../db/user-id-column.ts'
import { reasonOf } from '../delivery/error-codes.ts'
import { secondsBetween } from '../delivery/seconds.ts'
import { latestCode } from '../delivery/outcome.ts'
import { latestAttempt } from '../delivery/transitions.ts'
import { toRefusedRowError } from '../postgres/database-failure.ts'
import type { Database, Transaction } from '../postgres/pool.ts'
import type { Message } from '../delivery/message.ts'
import { DatabaseError } from '../shared/errors.ts'
import { inSpan } from '../shared/tracing.ts'
import { type CheckedMessage, checkMessage, type MessageInput } from './message-input.ts'
import { firstJob, firstOutcome, newKey, type Plan, planMessage, toNewMessage } from './plan-message.ts'
import { NO_ROW_WITH_KEY, requireSameMessage } from './repeated-key.ts'
import { type AttemptDeps, startStopwatch, submitAttempt } from './run-attempts.ts'

interface SomeResult {
  /** The row's id. */
  readonly id: number
  /** Twilio's id of the latest attempt that it accepted. */
  readonly sid?: string
  /** Twilio's code of the latest failure. */
  readonly errorCode?: number
  /** When the worker makes the next attempt. In the past if it is due and waits for a worker. */
  readonly nextRetryAt?: Date
  /** Why it failed or waits, such as a hold, for a person. May contain the recipient's number: not for logs. */
  readonly reason?: string
}

/** Twilio has the message. Status callbacks report what follows. */
export interface AcceptedResult extends SomeResult {
  readonly status: 'accepted'
  readonly sid: string
}

/** The message failed, or waits for its first attempt. */
export interface RetryScheduledResult extends SomeResult {
  readonly status: 'retry_scheduled'
  readonly nextRetryAt: Date
}

/** The message failed for good, was canceled, or its deadline passed. */
export interface FailedResult extends SomeResult {
  readonly status: 'failed'
  readonly reason: string
}

/** It is not known whether Twilio has the message. It is not submitted again before that is known. */
export interface InDoubtResult extends SomeResult {
  readonly status: 'in_doubt'
}

/**
 * The result of `send`, by its `status`.
 *
 * @example
 * switch (result.status) {
 *   case 'accepted':
 *     return result.sid
 *   case 'retry_scheduled':
 *     return `again at ${result.nextRetryAt.toISOString()}`
 *   case 'failed':
 *     return result.reason
 *   case 'in_doubt':
 *     return 'not known yet'
 * }
 */
export type SendResult = AcceptedResult | RetryScheduledResult | FailedResult | InDoubtResult

export type SendStatus = SendResult['status']

/** The dependencies of `send`. */
export interface SendDeps extends AttemptDeps {
  readonly userIdColumn: UserIdColumn
}

/**
 * Submits the message now if the gate allows it; otherwise, a worker submits it later, or nobody ever does.
 *
 * @throws InvalidMessageError if the input is invalid: nothing was written
 * @throws RefusedRowError if the database refuses the row: nothing was written
 * @throws DatabaseError if the database failed before the request: nothing was submitted; `written` tells whether the row
 *   was written
 */
export function sendMessage(deps: SendDeps, input: MessageInput): Promise<SendResult> {
  return inSpan('send', { kind: 'PRODUCER' }, async (span) => {
    const result = await recordAndSubmit(deps, input)
    span?.set({ 'messaging.message.id': `${result.id}`, 'sms_retry.result': result.status })
    return result
  })
}

async function recordAndSubmit(deps: SendDeps, input: MessageInput): Promise<SendResult> {
  const message = checkMessage(input, deps)
  await deps.twilio.ready()
  const sinceClaim = startStopwatch()
  const key = newKey()
  const inserted = await insertConfirmed(deps, message, key)
  if (inserted === null) return existingResult(deps, message)
  const { id, insertedAt: claimedAt, plan } = inserted
  const { passage } = plan
  if (passage.kind !== 'now') {
    const { reason } = passage
    const { status, nextRetryAt } = plan
    deps.logger.info('Message recorded, not submitted', { messageId: id, status, reason, nextRetryAt })
    if (passage.kind === 'at') return { id, status: 'retry_scheduled', nextRetryAt: passage.at, reason }
    deps.metrics.neverSent(passage.status)
    return { id, status: 'failed', reason }
  }
  const { body, until } = passage
  const validitySeconds = until === null ? null : Math.floor(secondsBetween(plan.now, until))
  const submission = { messageId: id, key, attempt: 0, claimedAt, to: message.to, body, validitySeconds }
  try {
    return toResult(await submitAttempt(deps, submission, sinceClaim))
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error
    // Twilio may have the message. Its row is `submitting`, so it is reconciled.
    return { id, status: 'in_doubt' }
  }
}

async function existingResult(deps: AttemptDeps, message: CheckedMessage): Promise<SendResult> {
  const existing = await findExisting(deps.database, message).catch((error: unknown) =>
    throwNotSubmitted(error, 'no'),
  )
  const { id: messageId, retryCount: attempt, status, reason } = existing
  deps.logger.debug('Not sent: a message with this idempotency key already exists', {
    messageId,
    attempt,
    status,
  })
  const isSubmitted = latestAttempt(existing) !== undefined
  return { ...toResult(existing), ...(isSubmitted || reason === null ? {} : { reason }) }
}

/** The existing row with this message's idempotency key. */
async function findExisting(database: Database, message: CheckedMessage): Promise<StoredMessage> {
  const { idempotencyKey } = message
  const existing = idempotencyKey === null ? null : await findByIdempotencyKey(database, idempotencyKey)
  if (existing === null) throw new DatabaseError(NO_ROW_WITH_KEY)
  requireSameMessage({ ...existing, userId: existing.userId === null ? null : `${existing.userId}` }, message)
  return existing
}

interface Inserted {
  readonly id: number
  readonly insertedAt: Date
  readonly plan: Plan
}

/** Null if the idempotency key already exists. */
function insertConfirmed(deps: SendDeps, message: CheckedMessage, key: string): Promise<Inserted | null> {
  const insert = async (tx: Transaction): Promise<Inserted | null> => {
    // With `begin`: this costs no round trip.
    const { state, now } = await readAccountState(tx.atBegin)
    const plan = planMessage(deps, message, now, state)
    const identity = plan.passage.kind === 'now' ? deps.twilio.identity : null
    const row = toNewMessage(message, key, plan, identity, deps.policy)
    const [inserted = null] = await insertMessages(tx, [row], deps.userIdColumn.type)
    if (inserted === null) return null
    if (plan.passage.kind === 'at') await deps.queue.schedule(tx.atCommit, [firstJob(inserted.id, key, plan)])
    const outcome = firstOutcome(inserted.id, key, message, plan, inserted.insertedAt)
    if (outcome !== null) await deps.queue.outcomes.add(tx.atCommit, [outcome])
    return { ...inserted, plan }
  }
  return deps.database
    .confirmedTransaction(insert, {
      name: key,
      isWritten: async (tx, inserted) => inserted === null || (await isInserted(tx, inserted.id, key)),
    })
    .catch((error: unknown) => throwNotSubmitted(error))
}

const RECORDED = {
  no: 'and the message was not recorded: send it again',
  unknown:
    'but it is not known whether the message was recorded. If it was, a worker will send it. Send it again with the ' +
    'same idempotencyKey. If the message has none, check whether its row exists before you send it again',
}

/** @param written used instead of `written` of the error */
function throwNotSubmitted(error: unknown, written?: DatabaseError['written']): never {
  if (!(error instanceof DatabaseError)) throw error
  if (error.isRefusal) throw toRefusedRowError(error)
  const writtenState = written ?? error.written
  const text = `Nothing was submitted, ${RECORDED[writtenState]}. ${error.message}`
  throw new DatabaseError(text, { cause: error.cause, written: writtenState, scope: error.scope })
}

function toResult(message: Message): SendResult {
  const { id, status, sid, nextRetryAt, reason, createdAt } = message
  const errorCode = latestCode(message)
  const details = {
    ...(sid === null ? {} : { sid }),
    ...(errorCode === null ? {} : { errorCode }),
    ...(nextRetryAt === null ? {} : { nextRetryAt }),
  }
  switch (status) {
    case 'pending':
    case 'retrying':
      // Without a time, the attempt has been due since the message exists.
      return { id, status: 'retry_scheduled', ...details, nextRetryAt: nextRetryAt ?? createdAt }
    case 'submitting':
      return { id, status: 'in_doubt', ...details }
    case 'undelivered':
    case 'failed':
    case 'expired':
    case 'canceled':
      return { id, status: 'failed', ...details, reason: reason ?? reasonOf(errorCode ?? null) }
    default:
      // Another program may have written the status without a sid.
      return sid === null
        ? { id, status: 'in_doubt', ...details }
        : { id, status: 'accepted', ...details, sid }
  }
}
