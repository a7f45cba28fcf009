// Plans a new message before its row is written: asks the gate, and makes the row that follows from the answer.
import { randomBytes } from 'node:crypto'
import type { NewMessage } from '../db/insert-messages.ts'
import { type AccountState, WORKING_ACCOUNT } from '../delivery/account-state.ts'
import { gate, type Passage } from '../delivery/gate.ts'
import { type DecidedOutcome, outcomeOfNew } from '../delivery/outcome.ts'
import { firstCheckSeconds, firstLookupSeconds } from '../delivery/reconcile-time.ts'
import { maxRetriesOf, type RetryPolicy } from '../delivery/retry-policy.ts'
import { addSeconds, secondsBetween } from '../delivery/seconds.ts'
import type { ScheduledJob } from '../jobs/queue.ts'
import type { ContextDeps } from '../recording/event-batch.ts'
import { activeTraceparent } from '../shared/tracing.ts'
import type { CheckedMessage } from './message-input.ts'

/** What becomes of a new message. */
export interface Plan {
  readonly passage: Passage
  /** The time by which the gate was asked. */
  readonly now: Date
  readonly status: NewMessage['status']
  readonly reason: string | null
  readonly nextRetryAt: Date | null
}

/**
 * Asks the gate about a new message.
 *
 * @param now the database's clock. If the answer does not depend on the time of day, any time will do
 * @param account its state. Left out for a message that only a worker submits: the worker asks about it
 */
export function planMessage(
  { policy, circumstances, random }: ContextDeps,
  message: CheckedMessage,
  now: Date,
  account: AccountState = WORKING_ACCOUNT,
): Plan {
  const { validForSeconds } = message
  const deadline = validForSeconds === null ? null : addSeconds(now, validForSeconds)
  const context = { policy, circumstances, account, now, random: random() }
  const passage = gate({ ...message, deadline }, now, context)
  switch (passage.kind) {
    case 'now':
      return { passage, now, status: 'submitting', reason: null, nextRetryAt: null }
    case 'at':
      return { passage, now, status: 'pending', reason: passage.reason, nextRetryAt: passage.at }
    case 'never':
      return { passage, now, status: passage.status, reason: passage.reason, nextRetryAt: null }
  }
}

/** The key in base64url must match MESSAGE_KEY. */
const KEY_BYTES = 12

export function newKey(): string {
  return randomBytes(KEY_BYTES).toString('base64url')
}

/**
 * The row remembers the active span.
 *
 * @param identity account and sender of its first attempt; null if it waits for a worker, or is never sent
 */
export function toNewMessage(
  message: CheckedMessage,
  key: string,
  { passage, now, status: planned, reason, nextRetryAt }: Plan,
  identity: NewMessage['identity'],
  policy: RetryPolicy,
): NewMessage {
  const status = planned === 'submitting' && identity === null ? 'pending' : planned
  const reconcileAfterSeconds =
    passage.kind === 'never' ? null : firstCheck(status, nextRetryAt, now, policy.delayScale)
  const maxRetries = maxRetriesOf(policy)
  return {
    ...message,
    key,
    status,
    reason,
    nextRetryAt,
    identity,
    maxRetries,
    reconcileAfterSeconds,
    traceparent: activeTraceparent(),
  }
}

function firstCheck(status: NewMessage['status'], dueAt: Date | null, now: Date, delayScale: number): number {
  if (status === 'submitting') return firstLookupSeconds('submitting', delayScale)
  return firstCheckSeconds(dueAt === null ? 0 : secondsBetween(now, dueAt), delayScale)
}

/** The job of the first attempt. */
export function firstJob(messageId: number, key: string, { nextRetryAt }: Plan): ScheduledJob {
  return { messageId, key, attempt: 0, postponements: 0, at: nextRetryAt }
}

/** The outcome of a message that is never sent: it is final when it is recorded. Null for all others. */
export function firstOutcome(
  messageId: number,
  key: string,
  { to }: CheckedMessage,
  { passage }: Plan,
  at: Date,
): DecidedOutcome | null {
  return passage.kind === 'never' ? outcomeOfNew({ messageId, key, to, ...passage, at }) : null
}
