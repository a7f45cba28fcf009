// Decides how an event changes a message. All such decisions are made here. Pure: the caller passes in the time and a
// random number, and applies the decision.
//
// Reports may come in any order, and more than once. Each is merged into the entry of its attempt (attempts.ts), where
// the higher status wins. The message's status is then derived from the entries.
import { forProbe } from './account-state.ts'
import { applyReport } from './apply-report.ts'
import { dropPending, entriesOf, releaseClaim } from './attempts.ts'
import type { Context, Decision } from './decision.ts'
import { findAttempt } from './find-attempt.ts'
import { gate, PAST_DEADLINE } from './gate.ts'
import { decideAdopt, decideNotSent } from './in-doubt.ts'
import { decideCancel, decideRetry } from './manual-actions.ts'
import type { Answer, Attempt, Event, Message } from './message.ts'
import { isOverdue, nextLookupTime, reconcileTime } from './reconcile-time.ts'
import { repeatAttempt, withPendingAttempt } from './repeat-attempt.ts'
import { postponedDelaySeconds } from './retry-policy.ts'
import { isDelivered, isFinal } from './status.ts'
import {
  cancelPending,
  claim,
  claimOf,
  finish,
  isLatestClaim,
  isTooLate,
  isWaiting,
  latestAttempt,
  postpone,
  record,
  reschedule,
} from './transitions.ts'
import { addSeconds } from './seconds.ts'

/** Decides what `event` does to `message`. The same input gives the same decision. */
export function decide(message: Message, event: Event, context: Context): Decision {
  const decision = decideEvent({ ...message, attempts: entriesOf(message) }, event, context)
  return decision.kind === 'ignore' ? decision : withReconcileTime(decision, context)
}

/** Every decision that changes the row also sets when the message is reconciled next. */
function withReconcileTime(
  decision: Exclude<Decision, { kind: 'ignore' }>,
  { policy, now }: Context,
): Decision {
  const { message } = decision
  if (decision.kind === 'inquire') {
    return {
      ...decision,
      message: { ...message, reconcileAt: nextLookupTime(message, policy.delayScale, now) },
    }
  }
  const reconcileAt = reconcileTime(message, policy.delayScale, now)
  // A row without a reconcile time was written by the app. Its reason may be a text of the app, and stays.
  const checksEnd = reconcileAt === 'never' && message.reconcileAt !== 'never' && message.reconcileAt !== null
  const reason = checksEnd ? `${message.reason ?? NO_FINAL_STATUS}. ${CHECKS_ENDED}` : message.reason
  return { ...decision, message: { ...message, reconcileAt, reason } }
}

function decideEvent(message: Message, event: Event, context: Context): Decision {
  switch (event.kind) {
    case 'due':
      return decideDue(message, event, context)
    case 'answer': {
      const answered = { ...message, processingTimeMs: event.processingTimeMs }
      return decideAnswer(answered, event, context)
    }
    case 'report':
      return decideReport(message, event, context)
    case 'fetched':
      return recordAnyway(message, decideReport(message, event, context))
    case 'missing':
      return record(message)
    case 'retry':
      return decideRetry(message, event, context)
    case 'cancel':
      return decideCancel(message, event)
    case 'adopt':
      return decideAdopt(message, event, context)
    case 'not_sent':
      return decideNotSent(message, event, context)
    case 'reconcile':
      return decideReconcile(message, event, context)
    case 'listed':
      return decideListed(message, event, context)
  }
}

function decideDue(
  message: Message,
  { attempt, identity, probe }: Extract<Event, { kind: 'due' }>,
  context: Context,
): Decision {
  const { now } = context
  const entry = message.attempts.find(({ number }) => number === attempt)
  if (!isWaiting(message) || message.retryCount !== attempt || entry === undefined) {
    return { kind: 'ignore', why: 'the attempt is no longer waiting' }
  }
  if (message.nextRetryAt !== null && message.nextRetryAt > now && !isTooLate(now, message)) {
    // `next_retry_at` was moved to a later time by hand, and the row outranks its job.
    return postpone(message, entry, message.nextRetryAt, message.reason)
  }
  const passage = gate(message, now, { ...context, account: forProbe(context.account, probe) })
  if (passage.kind === 'never') return record(finish(message, passage.status, passage.reason))
  if (passage.kind === 'at') return postpone(message, entry, passage.at, passage.reason)
  return claim(message, entry, identity ?? null, passage, now)
}

function decideAnswer(
  message: Message,
  { attempt, claimedAt, answer }: Extract<Event, { kind: 'answer' }>,
  context: Context,
): Decision {
  const entry = message.attempts.find(({ number }) => number === attempt)
  if (entry === undefined) return { kind: 'ignore', why: NO_SUCH_ATTEMPT }
  // The attempt was declared lost and claimed again after this request. Only an acceptance still matters.
  if (answer.outcome !== 'accepted' && !isLatestClaim(message, entry, claimedAt)) {
    return { kind: 'ignore', why: 'the answer belongs to an earlier claim' }
  }
  switch (answer.outcome) {
    case 'accepted':
      return recordAnyway(message, applyReport(message, entry, answer, context))
    case 'rejected':
      return recordAnyway(
        message,
        applyReport(message, entry, { ...answer, status: 'failed', sid: null }, context),
      )
    case 'not_processed':
      return decideNotProcessed(message, entry, answer, context)
    case 'unknown':
      // If a callback came first, it has set the status. Otherwise, the attempt stays in doubt.
      if (entry.status !== 'submitting' || message.status !== 'submitting') return record(message)
      return record({ ...message, reason: `${IN_DOUBT}: ${answer.reason}` })
  }
}

/**
 * Records the message even if the status is not new, for the duration of the request and the time of the next lookup.
 */
function recordAnyway(message: Message, decision: Decision): Decision {
  return decision.kind === 'ignore' ? record(message) : decision
}

function decideNotProcessed(
  message: Message,
  entry: Attempt,
  answer: Extract<Answer, { outcome: 'not_processed' }>,
  context: Context,
): Decision {
  const { policy, now, random } = context
  if (entry.status !== 'submitting') return record(message)
  const released = releaseClaim(entry, now)
  // An earlier attempt was delivered in the meantime, so this one is not needed.
  if (message.status !== 'submitting') return record(dropPending(withPendingAttempt(message, released)))
  const delaySeconds = postponedDelaySeconds(
    policy,
    entry.postponements + 1,
    answer.retryAfterSeconds,
    random,
  )
  const reason = `Twilio did not process the request: ${answer.reason}`
  return repeatAttempt(message, released, addSeconds(now, delaySeconds), reason, context)
}

function decideReport(
  message: Message,
  report: Extract<Event, { kind: 'report' | 'fetched' }>,
  context: Context,
): Decision {
  const entry = message.attempts.findLast(({ number, sid }) =>
    report.attempt === null ? sid === report.sid : number === report.attempt,
  )
  if (entry === undefined) return { kind: 'ignore', why: NO_SUCH_ATTEMPT }
  if (entry.sid !== null && entry.sid !== report.sid && !isDelivered(report.status)) {
    // The attempt has two sids, because its first request was wrongly declared lost. Only a delivery counts.
    return { kind: 'ignore', why: 'the attempt has another sid' }
  }
  return applyReport(message, entry, report, context)
}

function decideReconcile(
  message: Message,
  { isJobScheduled, account }: Extract<Event, { kind: 'reconcile' }>,
  { policy, now }: Context,
): Decision {
  const { reconcileAt } = message
  if (isFinal(message.status)) return { kind: 'ignore', why: `it is already ${message.status}` }
  const isEarly = reconcileAt instanceof Date ? reconcileAt > now : reconcileAt !== null
  if (isEarly) return { kind: 'ignore', why: 'it is not due to be reconciled' }
  // During a hold, workers take no jobs, so nothing else finds that the deadline has passed.
  if (isWaiting(message) && isTooLate(now, message))
    return cancelPending(message, finish(message, 'expired', PAST_DEADLINE))
  if (!isOverdue(message, policy.delayScale, now)) return record(message)
  // A row that the app wrote days ago is neither sent nor looked up.
  const isOld = reconcileAt === null && !(reconcileTime(message, policy.delayScale, now) instanceof Date)
  if (isOld) return record(message)
  // If the job exists, it is only late, because of a backlog or a rate limit.
  if (isWaiting(message)) return isJobScheduled ? record(message) : reschedule(message, now)

  const latest = latestAttempt(message)
  // There is no sid to fetch, and no claim to search for.
  if (latest === undefined || (latest.sid === null && latest.status !== 'submitting')) return record(message)
  // Only the account of the attempt has the message: a 404 or an empty list from another account proves nothing.
  if (account !== undefined && latest.account !== null && latest.account !== account) {
    return record(latest.sid === null ? { ...message, reason: ofOtherAccount(latest.account) } : message)
  }
  const { number: attempt, sid } = latest
  const { id: messageId, key, to } = message
  const inquiry = { messageId, key, attempt, sid, to, claimedAt: claimOf(message, latest) }
  return { kind: 'inquire', message, inquiry }
}

function decideListed(
  message: Message,
  listed: Extract<Event, { kind: 'listed' }>,
  context: Context,
): Decision {
  const entry = message.attempts.find(({ number }) => number === listed.attempt)
  const isInDoubt = entry?.status === 'submitting' && message.status === 'submitting'
  if (!isInDoubt || !isLatestClaim(message, entry, listed.claimedAt)) {
    return { kind: 'ignore', why: 'it is no longer in doubt' }
  }
  const finding = findAttempt(message, entry, listed)
  switch (finding.kind) {
    case 'found':
      return applyReport(message, entry, finding.report, context)
    case 'absent':
      return repeatAttempt(message, entry, context.now, NOT_RECEIVED, context)
    case 'undecided':
      return record({ ...message, reason: `${IN_DOUBT}: ${finding.why}` })
  }
}

const NO_SUCH_ATTEMPT = 'the row has no such attempt'
const IN_DOUBT = 'It is not known whether Twilio received the message'
const ofOtherAccount = (account: string): string =>
  `${IN_DOUBT}: it was submitted from account ${account}, but another account is configured. ` +
  `Wait for its status callback, or look for it in the console of account ${account}`
const NOT_RECEIVED = 'Twilio did not receive the message: the request was lost'
const NO_FINAL_STATUS = 'Twilio reported no final status'
const CHECKS_ENDED = 'sms-retry stopped checking this message after three days'
