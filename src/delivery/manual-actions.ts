// The manual actions on a message: retry it now, or cancel it. They may exceed the policy's limits. Two rules still
// hold: a message is never sent twice, and never after its deadline.
import { newAttempt } from './attempts.ts'
import type { Context, Decision } from './decision.ts'
import { reasonOf } from './error-codes.ts'
import type { Event, Message } from './message.ts'
import { isOnHold } from './reconcile-time.ts'
import { ruleFor } from './retry-policy.ts'
import { isDelivered, isFailedAttempt, isFinal } from './status.ts'
import {
  cancelPending,
  finish,
  isTooLate,
  isWaiting,
  MAX_ATTEMPTS,
  NO_TEXT,
  postpone,
  reschedule,
  withStatus,
} from './transitions.ts'

/** Cancels the waiting attempt, and with it the message. */
export function decideCancel(message: Message): Decision {
  if (isWaiting(message))
    return cancelPending(message, finish(message, 'canceled', 'Canceled before the next attempt'))
  return ignore(isFinal(message.status) ? `it is already ${message.status}` : WITH_TWILIO)
}

/** Schedules an attempt for now: the waiting one, or another one for a message that failed or was canceled. */
export function decideRetry(
  message: Message,
  { seen, force }: Extract<Event, { kind: 'retry' }>,
  { policy, now }: Context,
): Decision {
  const isAsSeen = seen === null || (seen.status === message.status && seen.retryCount === message.retryCount)
  if (!isAsSeen) return ignore('it changed in the meantime')
  if (isDelivered(message.status)) return ignore(`it is already ${message.status}`)
  if (isTooLate(now, message)) return ignore('its deadline has passed')
  if (message.body === null) return ignore(NO_TEXT)
  if (isWaiting(message)) {
    const isDue = message.nextRetryAt === null || message.nextRetryAt <= now
    return isDue && !isOnHold(message)
      ? ignore('its next attempt is already due')
      : reschedule({ ...message, nextRetryAt: now }, now)
  }
  if (message.status === 'submitting') return ignore('it is not known yet whether Twilio received it')
  if (!isFinal(message.status)) return ignore(WITH_TWILIO)

  const last = message.attempts.at(-1)
  // The message was canceled before this attempt was made.
  if (last?.status === 'pending') return postpone(message, last, now, BY_HAND)
  const isOver = last !== undefined && (isFailedAttempt(last.status) || last.status === 'canceled')
  if (!isOver || last.number >= MAX_ATTEMPTS) return ignore('its latest attempt is not known to have failed')
  const isForbidden = isFailedAttempt(last.status) && ruleFor(policy, last.errorCode).action === 'stop'
  if (isForbidden && !force) {
    const code = last.errorCode ?? last.status
    return ignore(`the policy never retries ${code} (${reasonOf(last.errorCode)}); this must be forced`)
  }
  const number = last.number + 1
  const job = { attempt: number, postponements: 0 }
  const next: Message = {
    ...message,
    retryCount: number,
    maxRetries: Math.max(message.maxRetries, number),
    nextRetryAt: now,
    attempts: [...message.attempts, newAttempt(number, 'pending', now)],
  }
  return {
    kind: 'schedule',
    job,
    // If this attempt was canceled before, its completed job may still exist, and would block the new one.
    replaces: job,
    at: now,
    message: withStatus(next, 'retrying', BY_HAND),
  }
}

const BY_HAND = 'A retry was requested manually'
const WITH_TWILIO = 'Twilio may already have sent it'

function ignore(why: string): Decision {
  return { kind: 'ignore', why }
}
