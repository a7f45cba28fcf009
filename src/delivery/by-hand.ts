// What a person asks for: to try a message again now, or to call it off. The policy and its limits are for machines;
// what holds for a person as well is that a message is not sent twice, nor after its deadline.
import { newAttempt } from './attempts.ts'
import type { Context, Decision } from './decision.ts'
import { reasonOf } from './error-codes.ts'
import type { Event, Message } from './message.ts'
import { isLeftAlone } from './reconcile-time.ts'
import { ruleFor } from './retry-policy.ts'
import { isDelivered, isFailedAttempt, isFinal } from './status.ts'
import {
  withStatus,
  finish,
  isTooLate,
  isWaiting,
  MAX_ATTEMPTS,
  NO_TEXT,
  postpone,
  reschedule,
  cancelPending,
} from './transitions.ts'

/** Calls off the attempt that waits. */
export function decideCancel(message: Message): Decision {
  if (isWaiting(message))
    return cancelPending(message, finish(message, 'canceled', 'Canceled before the next attempt'))
  return ignore(isFinal(message.status) ? `it is ${message.status} already` : WITH_TWILIO)
}

/**
 * Makes the next attempt now: the one that waits, or a further one of a message that failed, even if its retries are
 * used up.
 */
export function decideRetry(
  message: Message,
  { seen, force }: Extract<Event, { kind: 'retry' }>,
  { policy, now }: Context,
): Decision {
  const isAsSeen = seen === null || (seen.status === message.status && seen.retryCount === message.retryCount)
  if (!isAsSeen) return ignore('it has changed in the meantime')
  if (isDelivered(message.status)) return ignore(`it is ${message.status} already`)
  if (isTooLate(now, message)) return ignore('its deadline has passed')
  if (message.body === null) return ignore(NO_TEXT)
  if (isWaiting(message)) {
    const isDue = message.nextRetryAt === null || message.nextRetryAt <= now
    return isDue && !isLeftAlone(message)
      ? ignore('it is due already')
      : reschedule({ ...message, nextRetryAt: now }, now)
  }
  if (message.status === 'submitting') return ignore('it is not known yet whether Twilio has it')
  if (!isFinal(message.status)) return ignore(WITH_TWILIO)

  const last = message.attempts.at(-1)
  // Called off before it was made.
  if (last?.status === 'pending') return postpone(message, last, now, BY_HAND)
  const isOver = last !== undefined && (isFailedAttempt(last.status) || last.status === 'canceled')
  if (!isOver || last.number >= MAX_ATTEMPTS) return ignore('its latest attempt is not known to have failed')
  const isForbidden = isFailedAttempt(last.status) && ruleFor(policy, last.errorCode).action === 'stop'
  if (isForbidden && !force) {
    const code = last.errorCode ?? last.status
    return ignore(`the policy does not try ${code} again (${reasonOf(last.errorCode)}), unless it is forced`)
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
    // Called off before, it may have rung already: what is left of it would be in the new one's way.
    replaces: job,
    at: now,
    message: withStatus(next, 'retrying', BY_HAND),
  }
}

const BY_HAND = 'To be tried again now, by hand'
const WITH_TWILIO = 'Twilio may have it already'

function ignore(why: string): Decision {
  return { kind: 'ignore', why }
}
