// Decides what a report on one attempt means for its message: a final status, a retry, or just progress.
import { type Report, merge, newAttempt, replaceEntry } from './attempts.ts'
import type { Context, Decision } from './decision.ts'
import { reasonOf } from './error-codes.ts'
import type { Attempt, Message } from './message.ts'
import { retryDelaySeconds, ruleFor } from './retry-policy.ts'
import { type DeliveryStatus, isDelivered, isFailedAttempt, outranks } from './status.ts'
import {
  addSeconds,
  BEYOND_DEADLINE,
  cancelPending,
  finish,
  isTooLate,
  latestAttempt,
  NO_TEXT,
  record,
  withStatus,
} from './transitions.ts'

/** Merges a report into its attempt's entry, and derives the message's status from the entries. */
export function applyReport(before: Message, entry: Attempt, report: Report, context: Context): Decision {
  const merged = merge(entry, report, context)
  if (merged === entry) return { kind: 'ignore', why: 'the report is not new' }
  const attempts = replaceEntry(before.attempts, merged)
  const message = { ...before, attempts, sid: sidOf(before, attempts) }

  const best = attempts.reduce((one, other) => (outranks(other.status, one.status) ? other : one))
  if (isDelivered(best.status)) return cancelPending(before, finish(message, best.status, null))

  // Only a new status or error code of the latest attempt can change the message's status.
  const latest = latestAttempt(message)
  const isChanged = merged.status !== entry.status || merged.errorCode !== entry.errorCode
  if (merged !== latest || !isChanged || before.status === 'canceled') return record(message)
  if (isFailedAttempt(merged.status)) return decideFailure(before, message, merged, context)
  if (merged.status === 'canceled')
    return cancelPending(before, finish(message, 'canceled', 'Canceled at Twilio'))
  return cancelPending(before, withStatus({ ...message, nextRetryAt: null }, merged.status, null))
}

/**
 * The latest sid. If the app itself made the first attempt, the row keeps the sid of that attempt: its callbacks name
 * no message id, so they find the row only by this sid.
 */
function sidOf({ sid }: Message, attempts: readonly Attempt[]): string | null {
  const isOfApp = attempts.some((attempt) => attempt.sid === sid && !isMadeByUs(attempt))
  if (sid !== null && isOfApp) return sid
  return attempts.findLast((attempt) => attempt.sid !== null)?.sid ?? sid
}

function isMadeByUs({ times }: Attempt): boolean {
  return times.pending !== undefined || times.submitting !== undefined
}

/** Schedules a retry after the latest attempt failed, or gives up. */
function decideFailure(before: Message, message: Message, failed: Attempt, context: Context): Decision {
  const { policy, now, random } = context
  const giveUp = (status: DeliveryStatus, why: string): Decision =>
    cancelPending(before, finish(message, status, `${describe(failed)}. ${why}`))

  const rule = ruleFor(policy, failed.errorCode)
  if (rule.action === 'stop') return giveUp(failed.status, 'Trying again would not help')
  const limit = Math.min(rule.retries, message.maxRetries)
  if (failed.number >= limit) {
    // A person can ask for more retries than the limit.
    const count = failed.number > limit ? `${failed.number}` : `${failed.number} of ${limit}`
    return giveUp(failed.status, `Given up after ${count} retries`)
  }
  if (message.body === null) return giveUp(failed.status, `Not retried: ${NO_TEXT}`)
  const number = failed.number + 1
  const at = addSeconds(now, retryDelaySeconds(policy, rule, number, now, random))
  if (isTooLate(at, message)) return giveUp('expired', BEYOND_DEADLINE)
  // The same failure was reported again, with another code. Its retry is already scheduled, and keeps its time.
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
