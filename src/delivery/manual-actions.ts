// The manual actions on a message: retry it now, or cancel it. They may exceed the policy's limits. Two rules still
// hold: a message is never sent twice, and the gate is asked.
import { newAttempt } from './attempts.ts'
import type { Context, Decision } from './decision.ts'
import { reasonOf } from './error-codes.ts'
import { gate } from './gate.ts'
import type { Event, Message } from './message.ts'
import { isSetAside } from './reconcile-time.ts'
import { ruleFor } from './retry-policy.ts'
import { addSeconds, secondsBetween } from './seconds.ts'
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
export function decideCancel(
  message: Message,
  { by, reason = `Canceled${byWhom(by)} before the next attempt` }: Extract<Event, { kind: 'cancel' }>,
): Decision {
  if (isWaiting(message)) return cancelPending(message, finish(message, 'canceled', reason))
  return ignore(isFinal(message.status) ? `it is already ${message.status}` : WITH_TWILIO)
}

/**
 * Schedules an attempt for now, or for the time at which the gate opens: the waiting one, or another one for a message that
 * failed or was canceled.
 */
export function decideRetry(
  message: Message,
  { seen, force, unchangedSince, notBefore, by }: Extract<Event, { kind: 'retry' }>,
  context: Context,
): Decision {
  const { policy, now } = context
  const isAsSeen = seen === null || (seen.status === message.status && seen.retryCount === message.retryCount)
  const hasChanged = unchangedSince !== undefined && hasChangedSince(message, unchangedSince)
  if (!isAsSeen || hasChanged) return ignore('it changed in the meantime')
  if (isDelivered(message.status)) return ignore(`it is already ${message.status}`)
  if (isTooLate(now, message)) return ignore('its deadline has passed')
  if (message.body === null) return ignore(NO_TEXT)
  const earliest = earliestTime(message, notBefore, now)
  if (isWaiting(message)) {
    const { nextRetryAt } = message
    const isNotLater = nextRetryAt === null || nextRetryAt <= earliest
    if (isNotLater && !isSetAside(message)) {
      const isDue = nextRetryAt === null || nextRetryAt <= now
      return ignore(`its next attempt is already ${isDue ? 'due' : 'scheduled for an earlier time'}`)
    }
    // The latest time in the next opening: a message that waits for this opening keeps its time.
    const latest = gate(message, earliest, { ...context, random: 1 })
    const waitsForIt = latest.kind === 'at' && nextRetryAt !== null && nextRetryAt <= latest.at
    if (waitsForIt && !isSetAside(message)) return ignore(asClause(latest.reason))
    return throughGate(message, earliest, context, (at, delay) => {
      const reason = by === undefined ? (delay ?? message.reason) : byHand(by, delay)
      return reschedule({ ...message, nextRetryAt: at, reason }, now)
    })
  }
  if (message.status === 'submitting') return ignore('it is not known yet whether Twilio received it')
  if (!isFinal(message.status)) return ignore(WITH_TWILIO)

  const last = message.attempts.at(-1)
  // The message was canceled before this attempt was made.
  if (last?.status === 'pending') {
    return throughGate(message, earliest, context, (at, delay) =>
      postpone(message, last, at, byHand(by, delay)),
    )
  }
  const isOver = last !== undefined && (isFailedAttempt(last.status) || last.status === 'canceled')
  if (!isOver || last.number >= MAX_ATTEMPTS) return ignore('its latest attempt is not known to have failed')
  const isForbidden = isFailedAttempt(last.status) && ruleFor(policy, last.errorCode).action === 'stop'
  if (isForbidden && !force) {
    const code = last.errorCode ?? last.status
    return ignore(`the policy never retries ${code} (${reasonOf(last.errorCode)}); this must be forced`)
  }
  return throughGate(message, earliest, context, (at, delay) =>
    retryAgain(message, last.number + 1, at, byHand(by, delay), now),
  )
}

/** A spread over time must not make a message expire: at least half of the time to the deadline remains for the delivery. */
function earliestTime({ deadline }: Message, notBefore: Date | undefined, now: Date): Date {
  if (notBefore === undefined || notBefore <= now) return now
  if (deadline === null) return notBefore
  const middle = addSeconds(now, secondsBetween(now, deadline) / 2)
  return middle < notBefore ? middle : notBefore
}

function hasChangedSince({ attempts }: Message, time: Date): boolean {
  const iso = time.toISOString()
  return attempts.some(({ times }) => Object.values(times).some((at) => at > iso))
}

/** Schedules one more attempt than the policy allows. */
function retryAgain(message: Message, number: number, at: Date, reason: string, now: Date): Decision {
  const job = { attempt: number, postponements: 0 }
  const next: Message = {
    ...message,
    retryCount: number,
    maxRetries: Math.max(message.maxRetries, number),
    nextRetryAt: at,
    attempts: [...message.attempts, newAttempt(number, 'pending', now)],
  }
  return {
    kind: 'schedule',
    job,
    // If this attempt was canceled before, its completed job may still exist, and would block the new one.
    replaces: job,
    at,
    message: withStatus(next, 'retrying', reason),
  }
}

/** @param schedule gets the earliest time that the gate allows, and the reason if that is after `earliest` */
function throughGate(
  message: Message,
  earliest: Date,
  context: Context,
  schedule: (at: Date, delay: string | null) => Decision,
): Decision {
  const passage = gate(message, earliest, context)
  switch (passage.kind) {
    case 'now':
      return schedule(earliest, null)
    case 'at':
      return schedule(passage.at, passage.reason)
    case 'never':
      return ignore(asClause(passage.reason))
  }
}

const byWhom = (by: string | undefined): string => (by === undefined ? '' : ` by ${by}`)

function byHand(by: string | undefined, delay: string | null): string {
  const request = `A retry was requested manually${byWhom(by)}`
  return delay === null ? request : `${request}. ${delay}`
}

const WITH_TWILIO = 'Twilio may already have sent it'

const asClause = (sentence: string): string => sentence.charAt(0).toLowerCase() + sentence.slice(1)

function ignore(why: string): Decision {
  return { kind: 'ignore', why }
}
