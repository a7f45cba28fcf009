// The only place where it is decided what becomes of a message. Pure: the caller passes in the time and the
// dice, and carries the decision out.
//
// How order and repetition of reports are made harmless: a report is merged into its attempt's entry
// (attempts.ts), where the higher status wins, and what the message is, is then read off the entries.
import { dropPending, entriesOf, replaceEntry, unclaimed } from './attempts.ts'
import { decideCancel, decideRetry } from './by-hand.ts'
import type { Context, Decision } from './decision.ts'
import { findAttempt } from './doubt.ts'
import type { Answer, Attempt, Event, Message } from './message.ts'
import { nextLookupTime, isNever, isOverdue, reconcileTime } from './reconcile-time.ts'
import { postponedDelaySeconds } from './retry-policy.ts'
import { settle } from './settle.ts'
import { isDelivered, isFinal } from './status.ts'
import {
  addSeconds,
  BEYOND_DEADLINE,
  withStatus,
  claimOf,
  finish,
  isClaim,
  isTooLate,
  isWaiting,
  latestAttempt,
  NO_TEXT,
  postpone,
  record,
  reschedule,
  secondsBetween,
} from './transitions.ts'

/** What `event` makes of `message`. Same input, same decision. */
export function decide(message: Message, event: Event, context: Context): Decision {
  const decision = decideEvent({ ...message, attempts: entriesOf(message) }, event, context)
  return decision.kind === 'ignore' ? decision : watched(decision, context)
}

/** Whatever happens, a message that is not final is looked at again; unless it is given up, and says so. */
function watched(decision: Exclude<Decision, { kind: 'ignore' }>, { policy, now }: Context): Decision {
  const { message } = decision
  if (decision.kind === 'inquire') {
    return {
      ...decision,
      message: { ...message, reconcileAt: nextLookupTime(message, policy.delayScale, now) },
    }
  }
  const reconcileAt = reconcileTime(message, policy.delayScale, now)
  // In a row from long before our time the reason stays as it was.
  const isNews =
    isNever(reconcileAt) && message.reconcileAt !== null && message.reason?.endsWith(LEFT) !== true
  const reason = isNews ? `${message.reason ?? 'Nothing more was heard'}. ${LEFT}` : message.reason
  return { ...decision, message: { ...message, reconcileAt, reason } }
}

function decideEvent(known: Message, event: Event, context: Context): Decision {
  switch (event.kind) {
    case 'due':
      return decideDue(known, event, context)
    case 'answer': {
      const answered = { ...known, processingTimeMs: event.processingTimeMs }
      return decideAnswer(answered, event, context)
    }
    case 'report':
      return decideReport(known, event, context)
    case 'fetched':
      return orRecorded(known, decideReport(known, event, context))
    case 'missing':
      return record(known)
    case 'retry':
      return decideRetry(known, event, context)
    case 'cancel':
      return decideCancel(known)
    case 'reconcile':
      return decideReconcile(known, event, context)
    case 'listed':
      return decideListed(known, event, context)
  }
}

function decideDue(
  message: Message,
  { attempt, identity }: Extract<Event, { kind: 'due' }>,
  { now }: Context,
): Decision {
  const entry = message.attempts.find(({ number }) => number === attempt)
  if (!isWaiting(message) || message.retryCount !== attempt || entry === undefined) {
    return { kind: 'ignore', why: 'the attempt is not waiting any more' }
  }
  if (message.nextRetryAt !== null && message.nextRetryAt > now) {
    // Somebody moved the row's time. The row is the truth: ring again then.
    return postpone(message, entry, message.nextRetryAt, message.reason)
  }
  const validitySeconds = secondsUntil(message.deadline, now)
  if (validitySeconds !== null && validitySeconds < 1)
    return record(finish(message, 'expired', PAST_DEADLINE))
  const { id: messageId, key, to, body } = message
  if (body === null) return record(finish(message, 'failed', `Not sent: ${NO_TEXT}`))
  // Should it have been claimed before, this claim is the one that counts.
  const times = { ...entry.times, submitting: now.toISOString() }
  const { account = null, sender = null } = identity ?? {}
  const claimed: Attempt = { ...entry, status: 'submitting', times, account, sender }
  const attempts = replaceEntry(message.attempts, claimed)
  return {
    kind: 'submit',
    submission: { messageId, key, attempt, claimedAt: now, to, body, validitySeconds },
    message: withStatus({ ...message, attempts, nextRetryAt: null }, 'submitting', message.reason),
  }
}

function decideAnswer(
  message: Message,
  { attempt, claimedAt, answer }: Extract<Event, { kind: 'answer' }>,
  context: Context,
): Decision {
  const entry = message.attempts.find(({ number }) => number === attempt)
  if (entry === undefined) return { kind: 'ignore', why: NO_SUCH_ATTEMPT }
  // The attempt was taken for lost and claimed again. That Twilio has it is worth knowing all the same.
  if (answer.outcome !== 'accepted' && !isClaim(message, entry, claimedAt)) {
    return { kind: 'ignore', why: 'it is the answer to an earlier claim' }
  }
  switch (answer.outcome) {
    case 'accepted':
      return orRecorded(message, settle(message, entry, answer, context))
    case 'rejected':
      return orRecorded(message, settle(message, entry, { ...answer, status: 'failed', sid: null }, context))
    case 'not_processed':
      return decideNotProcessed(message, entry, answer, context)
    case 'unknown':
      // A callback may have come first and told more; otherwise the attempt stays in doubt.
      if (entry.status !== 'submitting' || message.status !== 'submitting') return record(message)
      return record({ ...message, reason: `${IN_DOUBT}: ${answer.reason}` })
  }
}

/** An answer that says nothing new still tells how long the request took, or that the next question has time. */
function orRecorded(message: Message, decision: Decision): Decision {
  return decision.kind === 'ignore' ? record(message) : decision
}

function decideNotProcessed(
  message: Message,
  entry: Attempt,
  answer: Extract<Answer, { outcome: 'not_processed' }>,
  { policy, now, random }: Context,
): Decision {
  if (entry.status !== 'submitting') return record(message)
  const unmade = unclaimed(entry, now)
  // An earlier attempt was delivered in the meantime: this one was never made, and need not be.
  if (message.status !== 'submitting') return record(dropPending(unclaim(message, unmade)))
  const delaySeconds = postponedDelaySeconds(
    policy,
    entry.postponements + 1,
    answer.retryAfterSeconds,
    random,
  )
  const reason = `Twilio did not process the request: ${answer.reason}`
  return makeAgain(message, unmade, addSeconds(now, delaySeconds), reason)
}

/** The attempt was certainly not made: it is to be made at `at`. */
function makeAgain(message: Message, entry: Attempt, at: Date, reason: string): Decision {
  if (isTooLate(at, message)) {
    return record(finish(unclaim(message, entry), 'expired', `${reason}. ${BEYOND_DEADLINE}`))
  }
  return postpone(message, entry, at, reason)
}

function unclaim(message: Message, entry: Attempt): Message {
  return { ...message, attempts: replaceEntry(message.attempts, { ...entry, status: 'pending' }) }
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
    // One attempt has two sids only if its first request was taken for lost. Then only good news counts.
    return { kind: 'ignore', why: 'another sid is known for this attempt' }
  }
  return settle(message, entry, report, context)
}

function decideReconcile(
  message: Message,
  { isJobScheduled, account }: Extract<Event, { kind: 'reconcile' }>,
  { policy, now }: Context,
): Decision {
  const { reconcileAt } = message
  if (isFinal(message.status)) return { kind: 'ignore', why: `it is ${message.status} already` }
  if (reconcileAt !== null && reconcileAt > now) return { kind: 'ignore', why: 'it was looked at just now' }
  if (!isOverdue(message, policy.delayScale, now)) return record(message)
  // A row from long before our time: nobody waits for it any more.
  if (reconcileAt === null && isNever(reconcileTime(message, policy.delayScale, now))) return record(message)
  // A job that is there is late because there are many, or because few may be made in a second.
  if (isWaiting(message)) return isJobScheduled ? record(message) : reschedule(message, now)

  const made = latestAttempt(message)
  // Neither a sid to ask for, nor a claim to look for.
  if (made === undefined || (made.sid === null && made.status !== 'submitting')) return record(message)
  // Another account knows nothing of it, and its 404 or its empty list means nothing.
  if (account !== undefined && made.account !== null && made.account !== account) {
    return record(made.sid === null ? { ...message, reason: ofOtherAccount(made.account) } : message)
  }
  const { number: attempt, sid } = made
  const { id: messageId, key, to } = message
  const inquiry = { messageId, key, attempt, sid, to, claimedAt: claimOf(message, made) }
  return { kind: 'inquire', message, inquiry }
}

function decideListed(
  message: Message,
  listed: Extract<Event, { kind: 'listed' }>,
  context: Context,
): Decision {
  const entry = message.attempts.find(({ number }) => number === listed.attempt)
  const isInDoubt = entry?.status === 'submitting' && message.status === 'submitting'
  if (!isInDoubt || !isClaim(message, entry, listed.claimedAt)) {
    return { kind: 'ignore', why: 'it is not in doubt any more' }
  }
  const finding = findAttempt(message, entry, listed)
  switch (finding.kind) {
    case 'found':
      return settle(message, entry, finding.report, context)
    case 'absent':
      return makeAgain(message, entry, context.now, NOT_THERE)
    case 'undecided':
      return record({ ...message, reason: `${IN_DOUBT}: ${finding.why}` })
  }
}

const PAST_DEADLINE = 'Its deadline passed before it could be sent'
const NO_SUCH_ATTEMPT = 'the row does not know this attempt'
const IN_DOUBT = 'It is not known whether Twilio has it'
const ofOtherAccount = (account: string): string =>
  `${IN_DOUBT}: it was submitted from account ${account}, which is not the configured one, so Twilio cannot be asked. ` +
  'A status callback or a person must decide'
const NOT_THERE = 'Twilio does not have it: the request got lost'
const LEFT = 'After three days it is left as it is'

/** Whole seconds left; null without a deadline. */
function secondsUntil(deadline: Date | null, now: Date): number | null {
  return deadline === null ? null : Math.floor(secondsBetween(now, deadline))
}
