// Decides what a report on one attempt means for its message: a final status, a retry, or just progress.
import { type Report, merge, newAttempt, replaceEntry } from './attempts.ts'
import type { Context, Decision } from './decision.ts'
import { reasonOf } from './error-codes.ts'
import type { Attempt, Message } from './message.ts'
import { gate, isLimitedByWindow } from './gate.ts'
import { openingAfterRefusal } from './message-window.ts'
import {
  holdDelaySeconds,
  isAccountFailure,
  retryDelaySeconds,
  type RetryPolicy,
  ruleFor,
} from './retry-policy.ts'
import type { Rule, StopRule } from './retry-rule.ts'
import { type DeliveryStatus, isDelivered, isFailedAttempt, outranks } from './status.ts'
import {
  cancelPending,
  claimOf,
  finish,
  latestAttempt,
  MAX_ATTEMPTS,
  NO_TEXT,
  record,
  withStatus,
} from './transitions.ts'
import { addSeconds, secondsBetween } from './seconds.ts'

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
  if (isFailedAttempt(merged.status)) {
    const failed = { ...merged, excused: isExcused(message, merged, context) }
    return decideFailure(before, { ...message, attempts: replaceEntry(attempts, failed) }, failed, context)
  }
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
  const giveUp = (status: DeliveryStatus, why: string): Decision =>
    cancelPending(before, finish(message, status, `${describe(failed)}. ${why}`))

  const rule = ruleFor(context.policy, failed.errorCode)
  if (rule.action === 'stop') return giveUp(failed.status, 'Trying again would not help')
  const limit = rule.action === 'hold' ? message.maxRetries : Math.min(rule.retries, message.maxRetries)
  const used = failed.number - message.attempts.filter(({ excused }) => excused).length
  if (used >= limit || failed.number >= MAX_ATTEMPTS) {
    // A person can ask for more retries than the limit.
    const count = used > limit ? `${used}` : `${used} of ${limit}`
    return giveUp(failed.status, `Given up after ${count} retries`)
  }
  if (message.body === null) return giveUp(failed.status, `Not retried: ${NO_TEXT}`)
  const earliest = retryTime(message, rule, Math.max(used + 1, 1), context)
  const passage = gate(message, earliest, context)
  if (passage.kind === 'never') return giveUp(passage.status, passage.reason)
  // The same failure was reported again, with another code. Its retry is already scheduled, and keeps its time.
  const number = failed.number + 1
  if (before.retryCount === number) return record(message)
  const plan = failed.excused
    ? 'The next attempt uses up no retry'
    : `Retry ${used + 1} of ${limit} is scheduled`
  const reasons = [describe(failed), plan, ...(passage.kind === 'at' ? [passage.reason] : [])]
  const at = passage.kind === 'at' ? passage.at : earliest
  return scheduleAttempt(message, number, at, reasons.join('. '), context.now)
}

function scheduleAttempt(message: Message, number: number, at: Date, reason: string, now: Date): Decision {
  const next: Message = {
    ...message,
    retryCount: number,
    nextRetryAt: at,
    attempts: [...message.attempts, newAttempt(number, 'pending', now)],
  }
  return {
    kind: 'schedule',
    job: { attempt: number, postponements: 0 },
    replaces: null,
    at,
    message: withStatus(next, 'retrying', reason),
  }
}

/** Twilio's code for a message that waited for longer than its validity. */
const VALIDITY_EXPIRED = 30036

/**
 * Whether the failed attempt uses up no retry: the account failed, or Twilio could not send the message before its send
 * window closed. A code with a retry rule of its own is excused only while the account is on hold.
 */
function isExcused(message: Message, failed: Attempt, { circumstances, policy, account }: Context): boolean {
  const rule = ruleFor(policy, failed.errorCode)
  if (rule.action === 'hold' || (account.hold !== null && isAccountFailure(rule))) return true
  return (
    failed.errorCode === VALIDITY_EXPIRED &&
    isLimitedByWindow(message, claimOf(message, failed), circumstances)
  )
}

/** The delay of a retry that waits for a send window, if the hours at the recipient are not known. */
const UNKNOWN_HOURS_SECONDS = 4 * 3600

/** When the rule allows retry `retryNumber`. The gate may delay it further. */
function retryTime(
  message: Message,
  rule: Exclude<Rule, StopRule>,
  retryNumber: number,
  context: Context,
): Date {
  const { policy, now, random } = context
  if (rule.action === 'hold')
    return addSeconds(now, holdDelaySeconds(policy, accountFailures(message, policy), random))
  if (!('when' in rule)) return addSeconds(now, retryDelaySeconds(policy, rule, retryNumber, now, random))
  const opensAt = openingAfterRefusal(message, context)
  const seconds = opensAt === null ? UNKNOWN_HOURS_SECONDS : secondsBetween(now, opensAt)
  return addSeconds(now, seconds * policy.delayScale)
}

/** How many of the latest attempts in a row failed because of the account. */
function accountFailures({ attempts }: Message, policy: RetryPolicy): number {
  const other = attempts.findLastIndex(({ errorCode }) => !isAccountFailure(ruleFor(policy, errorCode)))
  return attempts.length - 1 - other
}

function describe({ errorCode, status }: Attempt): string {
  return `${errorCode ?? status}: ${reasonOf(errorCode)}`
}
