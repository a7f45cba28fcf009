// Use case: the app sends a message. `sendMessage` records it, submits it and records the answer. `enqueueMessage` adds
// the row and its job in the caller's transaction, and a worker submits it.
import { readAccountState } from '../db/account-row.ts'
import {
  findByIdempotencyKey,
  insertMessage,
  isInserted,
  readTransactionTime,
  type StoredMessage,
} from '../db/messages.ts'
import { dependsOnTime } from '../delivery/gate.ts'
import { secondsBetween } from '../delivery/seconds.ts'
import { latestAttempt } from '../delivery/transitions.ts'
import type { Db, Transaction } from '../postgres/pool.ts'
import type { Message } from '../delivery/message.ts'
import type { DeliveryStatus } from '../delivery/status.ts'
import { DatabaseError, IdempotencyKeyReusedError } from '../shared/errors.ts'
import { type CheckedMessage, checkMessage, type MessageInput } from './message-input.ts'
import { newKey, type Plan, planMessage, requireTimeZone, toNewMessage } from './plan-message.ts'
import type { Queue } from '../jobs/queue.ts'
import type { ContextDeps } from '../recording/event-batch.ts'
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
  /** Why nothing was submitted, for a person, such as a hold. */
  readonly reason?: string
}

export interface EnqueueResult {
  readonly id: number
  /** False if the idempotency key already existed: nothing was added. */
  readonly created: boolean
}

/**
 * Submits the message now if the gate allows it; otherwise, a worker submits it later, or nobody ever does.
 *
 * @throws InvalidMessageError if the input is invalid: nothing was written
 * @throws DatabaseError if the database failed before the request: nothing was submitted; `written` tells whether the row
 *   was written
 */
export async function sendMessage(deps: AttemptDeps, input: MessageInput): Promise<SendResult> {
  const message = checkMessage(input)
  requireTimeZone(message, deps.circumstances)
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

interface Inserted {
  readonly id: number
  readonly insertedAt: Date
  readonly plan: Plan
}

/** Null if the idempotency key already exists. */
function insertConfirmed(deps: AttemptDeps, message: CheckedMessage, key: string): Promise<Inserted | null> {
  const insert = async (tx: Transaction): Promise<Inserted | null> => {
    // With `begin`: this costs no round trip.
    const { state, now } = await readAccountState(tx.atBegin)
    const plan = planMessage(deps, message, now, state)
    const identity = plan.passage.kind === 'now' ? deps.twilio.identity : null
    const inserted = await insertMessage(tx, toNewMessage(message, key, plan, identity, deps.policy))
    if (inserted === null) return null
    if (plan.passage.kind === 'at') await scheduleFirst(deps.queue, tx.atCommit, inserted.id, key, plan)
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
  deps: ContextDeps & { readonly queue: Queue },
  tx: Db,
  input: MessageInput,
): Promise<EnqueueResult> {
  const message = checkMessage(input)
  requireTimeZone(message, deps.circumstances)
  // Most messages save this statement.
  const now = dependsOnTime(message, deps.circumstances) ? await readTransactionTime(tx) : new Date(0)
  const plan = planMessage(deps, message, now)
  const key = newKey()
  const inserted = await insertMessage(tx, toNewMessage(message, key, plan, null, deps.policy))
  if (inserted === null) return { id: (await findExisting(tx, message)).id, created: false }
  const { id } = inserted
  if (plan.passage.kind !== 'never') await scheduleFirst(deps.queue, tx, id, key, plan)
  return { id, created: true }
}

function scheduleFirst(queue: Queue, tx: Db, messageId: number, key: string, plan: Plan): Promise<void> {
  return queue.schedule(tx, [{ messageId, key, attempt: 0, postponements: 0, at: plan.nextRetryAt }])
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
