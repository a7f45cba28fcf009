// The only place where it is decided what becomes of a message. Pure: the caller passes in the time and the
// dice, and carries the decision out.
//
// How order and repetition of reports are made harmless: a report is merged into its attempt's entry
// (attempts.ts), where the higher status wins, and what the message is, is then read off the entries.
import { dropWaiting, entriesOf, replaceEntry } from './attempts.ts'
import type { Circumstances, Decision } from './decision.ts'
import { findAttempt } from './doubt.ts'
import type { Answer, Attempt, Event, Message } from './message.ts'
import { isOverdue, NEVER, reconcileTime } from './reconcile-time.ts'
import { postponedDelaySeconds } from './retry-policy.ts'
import { settle } from './settle.ts'
import { isDelivered, isFinal } from './status.ts'
import {
  addSeconds,
  BEYOND_DEADLINE,
  become,
  end,
  isTooLate,
  isWaiting,
  latestMade,
  NO_TEXT,
  putOff,
  record,
  ringAgain,
  secondsBetween,
  withdraw,
} from './transitions.ts'

/** What `event` makes of `message`. Same input, same decision. */
export function decide(message: Message, event: Event, circumstances: Circumstances): Decision {
  const decision = decideEvent({ ...message, attempts: entriesOf(message) }, event, circumstances)
  if (decision.kind === 'ignore') return decision
  // Whatever happens, a message that is not final is looked at again.
  const reconcileAt = reconcileTime(decision.message, circumstances.policy.delayScale, circumstances.now)
  return { ...decision, message: { ...decision.message, reconcileAt } }
}

function decideEvent(known: Message, event: Event, circumstances: Circumstances): Decision {
  switch (event.kind) {
    case 'due':
      return decideDue(known, event.attempt, circumstances)
    case 'answer': {
      const answered = { ...known, processingTimeMs: event.processingTimeMs }
      return decideAnswer(answered, event.attempt, event.answer, circumstances)
    }
    case 'report':
      return decideReport(known, event, circumstances)
    case 'cancel':
      return decideCancel(known)
    case 'reconcile':
      return decideReconcile(known, circumstances)
    case 'listed':
      return decideListed(known, event, circumstances)
  }
}

function decideDue(message: Message, attempt: number, { now }: Circumstances): Decision {
  const entry = message.attempts.find(({ number }) => number === attempt)
  if (!isWaiting(message) || message.retryCount !== attempt || entry === undefined) {
    return { kind: 'ignore', why: 'the attempt is not waiting any more' }
  }
  if (message.nextRetryAt !== null && message.nextRetryAt > now) {
    // Somebody moved the row's time. The row is the truth: ring again then.
    return putOff(message, entry, message.nextRetryAt, message.reason)
  }
  const validitySeconds = secondsUntil(message.deadline, now)
  if (validitySeconds !== null && validitySeconds < 1) return record(end(message, 'expired', PAST_DEADLINE))
  const { id: messageId, to, body } = message
  if (body === null) return record(end(message, 'failed', `Not sent: ${NO_TEXT}`))
  const times = { ...entry.times, submitting: now.toISOString() }
  const claimed: Attempt = { ...entry, status: 'submitting', times }
  const attempts = replaceEntry(message.attempts, claimed)
  return {
    kind: 'submit',
    submission: { messageId, attempt, to, body, validitySeconds },
    message: become({ ...message, attempts, nextRetryAt: null }, 'submitting', message.reason),
  }
}

function decideAnswer(
  message: Message,
  attempt: number,
  answer: Answer,
  circumstances: Circumstances,
): Decision {
  const entry = message.attempts.find(({ number }) => number === attempt)
  if (entry === undefined) return { kind: 'ignore', why: NO_SUCH_ATTEMPT }
  switch (answer.outcome) {
    case 'accepted':
      return timed(message, settle(message, entry, answer, circumstances))
    case 'rejected':
      return timed(message, settle(message, entry, { ...answer, status: 'failed', sid: null }, circumstances))
    case 'not_processed':
      return decideNotProcessed(message, entry, answer, circumstances)
    case 'unknown':
      // A callback may have come first and told more; otherwise the attempt stays in doubt.
      if (entry.status !== 'submitting' || message.status !== 'submitting') return record(message)
      return record({ ...message, reason: `${IN_DOUBT}: ${answer.reason}` })
  }
}

/** An answer that says nothing new (a callback was faster) still tells how long the request took. */
function timed(message: Message, decision: Decision): Decision {
  return decision.kind === 'ignore' ? record(message) : decision
}

function decideNotProcessed(
  message: Message,
  entry: Attempt,
  answer: Extract<Answer, { outcome: 'not_processed' }>,
  { policy, now, random }: Circumstances,
): Decision {
  if (entry.status !== 'submitting') return record(message)
  // An earlier attempt was delivered in the meantime: this one was never made, and need not be.
  if (message.status !== 'submitting') return record(dropWaiting(unclaim(message, entry)))
  const delaySeconds = postponedDelaySeconds(
    policy,
    entry.postponements + 1,
    answer.retryAfterSeconds,
    random,
  )
  const reason = `Twilio did not process the request: ${answer.reason}`
  return makeAgain(message, entry, addSeconds(now, delaySeconds), reason)
}

/** The attempt was certainly not made: it is to be made at `at`. */
function makeAgain(message: Message, entry: Attempt, at: Date, reason: string): Decision {
  if (isTooLate(at, message)) {
    return record(end(unclaim(message, entry), 'expired', `${reason}. ${BEYOND_DEADLINE}`))
  }
  return putOff(message, entry, at, reason)
}

function unclaim(message: Message, entry: Attempt): Message {
  return { ...message, attempts: replaceEntry(message.attempts, { ...entry, status: 'pending' }) }
}

function decideReport(
  message: Message,
  report: Extract<Event, { kind: 'report' }>,
  circumstances: Circumstances,
): Decision {
  const entry = message.attempts.findLast(({ number, sid }) =>
    report.attempt === null ? sid === report.sid : number === report.attempt,
  )
  if (entry === undefined) return { kind: 'ignore', why: NO_SUCH_ATTEMPT }
  if (entry.sid !== null && entry.sid !== report.sid && !isDelivered(report.status)) {
    // One attempt has two sids only if its first request was taken for lost. Then only good news counts.
    return { kind: 'ignore', why: 'another sid is known for this attempt' }
  }
  return settle(message, entry, report, circumstances)
}

function decideCancel(message: Message): Decision {
  if (isWaiting(message))
    return withdraw(message, end(message, 'canceled', 'Canceled before the next attempt'))
  const why = isFinal(message.status) ? `it is ${message.status} already` : 'Twilio may have it already'
  return { kind: 'ignore', why }
}

function decideReconcile(message: Message, { policy, now }: Circumstances): Decision {
  const { reconcileAt } = message
  if (reconcileAt !== null && reconcileAt > now) return { kind: 'ignore', why: 'it was looked at just now' }
  if (!isOverdue(message, policy.delayScale, now)) return record(message)
  if (isWaiting(message)) return ringAgain(message, now)

  const made = latestMade(message)
  const isGivenUp = reconcileTime(message, policy.delayScale, now) === NEVER
  const next = isGivenUp
    ? { ...message, reason: `${message.reason ?? 'Nothing more was heard'}. ${LEFT}` }
    : message
  const canBeAsked = made !== undefined && (made.sid !== null || made.status === 'submitting')
  // A row from before our time that is that old is not worth a question.
  if (!canBeAsked || (isGivenUp && reconcileAt === null)) return record(next)
  const { number, sid, times } = made
  const claimedAt = new Date(times.submitting ?? message.createdAt)
  const inquiry = { messageId: message.id, attempt: number, sid, to: message.to, claimedAt }
  return { kind: 'inquire', message: next, inquiry }
}

function decideListed(
  message: Message,
  { attempt, claimedAt, entries, isComplete, others }: Extract<Event, { kind: 'listed' }>,
  circumstances: Circumstances,
): Decision {
  const entry = message.attempts.find(({ number }) => number === attempt)
  const isSameClaim = new Date(entry?.times.submitting ?? message.createdAt).getTime() === claimedAt.getTime()
  if (entry?.status !== 'submitting' || message.status !== 'submitting' || !isSameClaim) {
    return { kind: 'ignore', why: 'it is not in doubt any more' }
  }
  const finding = findAttempt(message, entry, claimedAt, { entries, isComplete }, others)
  switch (finding.kind) {
    case 'found':
      return settle(message, entry, finding.report, circumstances)
    case 'absent':
      return makeAgain(message, entry, circumstances.now, NOT_THERE)
    case 'undecided':
      return record({ ...message, reason: `${IN_DOUBT}: ${finding.why}` })
  }
}

const PAST_DEADLINE = 'Its deadline passed before it could be sent'
const NO_SUCH_ATTEMPT = 'the row does not know this attempt'
const IN_DOUBT = 'It is not known whether Twilio has it'
const NOT_THERE = 'Twilio does not have it: the request got lost'
const LEFT = 'After three days it is left as it is'

/** Whole seconds left; null without a deadline. */
function secondsUntil(deadline: Date | null, now: Date): number | null {
  return deadline === null ? null : Math.floor(secondsBetween(now, deadline))
}
