// The transitions of a message and the decisions that make them: finish, claim, postpone, reschedule, cancel the pending attempt.
// decide.ts chooses between them.
import { dropPending, replaceEntry } from './attempts.ts'
import type { Decision } from './decision.ts'
import type { Attempt, Identity, Message } from './message.ts'
import { secondsBetween } from './seconds.ts'
import { type DeliveryStatus, isFailedAttempt, isFailure } from './status.ts'

export const BEYOND_DEADLINE = 'The next attempt would come after the deadline'
/** An attempt's number has at most three digits in the callback's URL. */
export const MAX_ATTEMPTS = 999
/** The largest number that is accepted from a row. sms-retry itself never reaches it. */
export const MAX_POSTPONEMENTS = 2 ** 31

export const NO_TEXT = 'the row has no text (message_content)'

/** The latest attempt that was made. It determines the message's status. */
export function latestAttempt({ attempts }: Message): Attempt | undefined {
  return attempts.findLast((attempt) => attempt.status !== 'pending')
}

/**
 * When the attempt was last claimed. A row that the app wrote has no such time: its creation is the earliest possible
 * claim.
 */
export function claimOf({ createdAt }: Message, { times }: Attempt): Date {
  return times.submitting === undefined ? createdAt : new Date(times.submitting)
}

/** Whether `claimedAt` is still the latest claim of the attempt. */
export function isLatestClaim(message: Message, attempt: Attempt, claimedAt: Date): boolean {
  return claimOf(message, attempt).getTime() === claimedAt.getTime()
}

/** True while the latest attempt waits for a worker. */
export function isWaiting({ status }: Message): boolean {
  return status === 'pending' || status === 'retrying'
}

export function isTooLate(at: Date, { deadline }: Pick<Message, 'deadline'>): boolean {
  return deadline !== null && at >= deadline
}

/** Canceling is not a failure: `success` then depends on the latest attempt that was made. */
export function withStatus(message: Message, status: DeliveryStatus, reason: string | null): Message {
  const latest = latestAttempt(message)
  const hasFailed = latest !== undefined && isFailedAttempt(latest.status)
  const success = status === 'canceled' ? !hasFailed : !isFailure(status)
  return { ...message, status, success, reason }
}

/** The message in a final status, without its pending attempt. */
export function finish(message: Message, status: DeliveryStatus, reason: string | null): Message {
  return withStatus({ ...dropPending(message), nextRetryAt: null }, status, reason)
}

export function record(message: Message): Decision {
  return { kind: 'record', message }
}

/** Claims the attempt, so that its request can be made after the commit. */
export function claim(
  message: Message,
  entry: Attempt,
  identity: Identity | null,
  { body, until }: { readonly body: string; readonly until: Date | null },
  now: Date,
): Decision {
  const { id: messageId, key, to } = message
  // A new claim replaces the time of an earlier one.
  const times = { ...entry.times, submitting: now.toISOString() }
  const { account = null, sender = null } = identity ?? {}
  const claimed: Attempt = { ...entry, status: 'submitting', times, account, sender }
  const attempts = replaceEntry(message.attempts, claimed)
  const validitySeconds = until === null ? null : Math.floor(secondsBetween(now, until))
  return {
    kind: 'submit',
    submission: { messageId, key, attempt: entry.number, claimedAt: now, to, body, validitySeconds },
    message: withStatus({ ...message, attempts, nextRetryAt: null }, 'submitting', message.reason),
  }
}

/** Schedules a new job that makes the same attempt at `at`. */
export function postpone(message: Message, entry: Attempt, at: Date, reason: string | null): Decision {
  const postponed: Attempt = { ...entry, status: 'pending', postponements: entry.postponements + 1 }
  const next = { ...message, nextRetryAt: at, attempts: replaceEntry(message.attempts, postponed) }
  return {
    kind: 'schedule',
    job: { attempt: entry.number, postponements: postponed.postponements },
    replaces: null,
    at,
    message: withStatus(next, entry.number === 0 ? 'pending' : 'retrying', reason),
  }
}

/** Replaces the job of the waiting attempt, which may be lost. */
export function reschedule(message: Message, now: Date): Decision {
  const waiting = message.attempts.find(({ number }) => number === message.retryCount)
  // `retry_count` was changed by hand, so no entry has this number. Recording the row delays its next check.
  if (waiting === undefined) return record(message)
  const decision = postpone(message, waiting, message.nextRetryAt ?? now, message.reason)
  const replaces = { attempt: waiting.number, postponements: waiting.postponements }
  return decision.kind === 'schedule' ? { ...decision, replaces } : decision
}

/** Records `after`, and removes the job of the attempt that `before` was waiting for. */
export function cancelPending(before: Message, after: Message): Decision {
  if (!isWaiting(before)) return record(after)
  const postponements = before.attempts.find(({ number }) => number === before.retryCount)?.postponements ?? 0
  return { kind: 'unschedule', message: after, job: { attempt: before.retryCount, postponements } }
}
