// Decides what a report on one attempt makes of its message: over, to be retried, given up, or simply further on.
import { type Report, merge, newAttempt, replaceEntry } from './attempts.ts'
import type { Context, Decision } from './decision.ts'
import { reasonOf } from './error-codes.ts'
import type { Attempt, Message } from './message.ts'
import { retryDelaySeconds, ruleFor } from './retry-policy.ts'
import { type DeliveryStatus, isDelivered, isFailedAttempt, outranks } from './status.ts'
import {
  addSeconds,
  withStatus,
  BEYOND_DEADLINE,
  finish,
  isTooLate,
  latestAttempt,
  NO_TEXT,
  record,
  cancelPending,
} from './transitions.ts'

/** Merges a report into its attempt's entry, and reads off the entries what the message is now. */
export function settle(before: Message, entry: Attempt, report: Report, context: Context): Decision {
  const merged = merge(entry, report, context)
  if (merged === entry) return { kind: 'ignore', why: 'known already' }
  const attempts = replaceEntry(before.attempts, merged)
  const message = { ...before, attempts, sid: sidOf(before, attempts) }

  const best = attempts.reduce((one, other) => (outranks(other.status, one.status) ? other : one))
  if (isDelivered(best.status)) return cancelPending(before, finish(message, best.status, null))

  // Only a new outcome of the latest attempt that was made can change what the message is.
  const decisive = latestAttempt(message)
  const isNews = merged.status !== entry.status || merged.errorCode !== entry.errorCode
  if (merged !== decisive || !isNews || before.status === 'canceled') return record(message)
  if (isFailedAttempt(merged.status)) return decideFailure(before, message, merged, context)
  if (merged.status === 'canceled')
    return cancelPending(before, finish(message, 'canceled', 'Canceled at Twilio'))
  return cancelPending(before, withStatus({ ...message, nextRetryAt: null }, merged.status, null))
}

/**
 * The latest sid; save for a message that others submitted first: callbacks of that attempt name no message, and
 * the row would not be found by them any more.
 */
function sidOf({ sid }: Message, attempts: readonly Attempt[]): string | null {
  const isOfOthers = attempts.some((attempt) => attempt.sid === sid && !isOurs(attempt))
  if (sid !== null && isOfOthers) return sid
  return attempts.findLast((attempt) => attempt.sid !== null)?.sid ?? sid
}

function isOurs({ times }: Attempt): boolean {
  return times.pending !== undefined || times.submitting !== undefined
}

/** The latest attempt failed: is there to be another? */
function decideFailure(before: Message, message: Message, failed: Attempt, context: Context): Decision {
  const { policy, now, random } = context
  const giveUp = (status: DeliveryStatus, why: string): Decision =>
    cancelPending(before, finish(message, status, `${describe(failed)}. ${why}`))

  const rule = ruleFor(policy, failed.errorCode)
  if (rule.action === 'stop') return giveUp(failed.status, 'Trying again would not help')
  const limit = Math.min(rule.retries, message.maxRetries)
  if (failed.number >= limit) {
    // More than the limit, if a person has asked for them.
    const made = failed.number > limit ? `${failed.number}` : `${failed.number} of ${limit}`
    return giveUp(failed.status, `Given up after ${made} retries`)
  }
  if (message.body === null) return giveUp(failed.status, `Not tried again: ${NO_TEXT}`)
  const number = failed.number + 1
  const at = addSeconds(now, retryDelaySeconds(policy, rule, number, now, random))
  if (isTooLate(at, message)) return giveUp('expired', BEYOND_DEADLINE)
  // A second report of the same failure, with another code: the retry stays where it was scheduled.
  if (before.retryCount === number) return record(message)
  const next: Message = {
    ...message,
    retryCount: number,
    nextRetryAt: at,
    attempts: [...message.attempts, newAttempt(number, 'pending', now)],
  }
  const reason = `${describe(failed)}. Retry ${number} of ${limit} is scheduled`
  return {
    kind: 'schedule',
    job: { attempt: number, postponements: 0 },
    replaces: null,
    at,
    message: withStatus(next, 'retrying', reason),
  }
}

function describe({ errorCode, status }: Attempt): string {
  return `${errorCode ?? status}: ${reasonOf(errorCode)}`
}
