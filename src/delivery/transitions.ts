// What can be made of a message, and the decisions that do it: put off, ended, withdrawn. Which of them it is to be
// is decided in decide.ts.
import { dropPending, replaceEntry } from './attempts.ts'
import type { Decision } from './decision.ts'
import type { Attempt, Message } from './message.ts'
import { type DeliveryStatus, isFailedAttempt, isFailure } from './status.ts'

export const BEYOND_DEADLINE = 'The next try would come after the deadline'
/** An attempt's number has at most three digits in the callback's URL. */
export const MAX_ATTEMPTS = 999
/** More than anybody counts to. */
export const MAX_POSTPONEMENTS = 2 ** 31

export const NO_TEXT = 'the row has no text (message_content)'

/** The latest attempt that was made: what the message is, follows from it. */
export function latestAttempt({ attempts }: Message): Attempt | undefined {
  return attempts.findLast((attempt) => attempt.status !== 'pending')
}

/** When the attempt was last claimed; a row that somebody else wrote does not say, but cannot have been before. */
export function claimOf({ createdAt }: Message, { times }: Attempt): Date {
  return times.submitting === undefined ? createdAt : new Date(times.submitting)
}

/** True if the attempt has not been claimed again since. */
export function isClaim(message: Message, attempt: Attempt, claimedAt: Date): boolean {
  return claimOf(message, attempt).getTime() === claimedAt.getTime()
}

/** True while the latest attempt waits for a worker. */
export function isWaiting({ status }: Message): boolean {
  return status === 'pending' || status === 'retrying'
}

export function isTooLate(at: Date, { deadline }: Message): boolean {
  return deadline !== null && at >= deadline
}

/** A canceled message did not fail at that: `success` is what its latest attempt made it. */
export function withStatus(message: Message, status: DeliveryStatus, reason: string | null): Message {
  const made = latestAttempt(message)
  const hasFailed = made !== undefined && isFailedAttempt(made.status)
  const success = status === 'canceled' ? !hasFailed : !isFailure(status)
  return { ...message, status, success, reason }
}

/** The message in a final state, without the attempt that waited. */
export function finish(message: Message, status: DeliveryStatus, reason: string | null): Message {
  return withStatus({ ...dropPending(message), nextRetryAt: null }, status, reason)
}

export function record(message: Message): Decision {
  return { kind: 'record', message }
}

/** The same attempt is to be made at `at`, with a new alarm. */
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

/** A new alarm for the attempt that waits, in place of the one that did not ring. */
export function reschedule(message: Message, now: Date): Decision {
  const waiting = message.attempts.find(({ number }) => number === message.retryCount)
  // Somebody has changed retry_count. The row is looked at again, but not now, and not before all others.
  if (waiting === undefined) return record(message)
  const decision = postpone(message, waiting, message.nextRetryAt ?? now, message.reason)
  const replaces = { attempt: waiting.number, postponements: waiting.postponements }
  return decision.kind === 'schedule' ? { ...decision, replaces } : decision
}

/** Records `after`; if an attempt waited before and does not now, its job goes as well. */
export function cancelPending(before: Message, after: Message): Decision {
  if (!isWaiting(before)) return record(after)
  const postponements = before.attempts.find(({ number }) => number === before.retryCount)?.postponements ?? 0
  return { kind: 'unschedule', message: after, job: { attempt: before.retryCount, postponements } }
}

export function addSeconds(time: Date, seconds: number): Date {
  return new Date(time.getTime() + Math.round(seconds * 1000))
}

/** May be negative. */
export function secondsBetween(from: Date, to: Date): number {
  return (to.getTime() - from.getTime()) / 1000
}
