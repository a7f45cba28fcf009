// The only place where it is decided what becomes of a message. Pure: the caller passes in the time and the
// dice, and carries the decision out.
//
// How order and repetition of reports are made harmless: a report is merged into its attempt's entry
// (attempts.ts), where the higher status wins, and what the message is, is then read off the entries.
import { dropWaiting, entriesOf, merge, newAttempt, type Report, replaceEntry, withTime } from './attempts.ts'
import type { Circumstances, Decision } from './decision.ts'
import { reasonOf } from './error-codes.ts'
import type { Answer, Attempt, Event, Message } from './message.ts'
import { postponedDelaySeconds, retryDelaySeconds, ruleFor } from './retry-policy.ts'
import { type DeliveryStatus, isDelivered, isFailedAttempt, isFailure, isFinal, outranks } from './status.ts'

/** What `event` makes of `message`. Same input, same decision. */
export function decide(message: Message, event: Event, circumstances: Circumstances): Decision {
  const known = { ...message, attempts: entriesOf(message) }
  switch (event.kind) {
    case 'due':
      return decideDue(known, event.attempt, circumstances)
    case 'answer': {
      const answered = { ...known, processingTimeMs: event.processingTimeMs }
      return decideAnswer(answered, event.attempt, event.answer, circumstances)
    }
    case 'callback':
      return decideCallback(known, event, circumstances)
    case 'cancel':
      return decideCancel(known)
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
  const claimed = withTime({ ...entry, status: 'submitting' }, 'submitting', now)
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
      return record({ ...message, reason: `It is not known whether Twilio has it: ${answer.reason}` })
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
  const unclaimed: Attempt = { ...entry, status: 'pending' }
  const next = { ...message, attempts: replaceEntry(message.attempts, unclaimed) }
  // An earlier attempt was delivered in the meantime: this one was never made, and need not be.
  if (message.status !== 'submitting') return record(dropWaiting(next))
  const delaySeconds = postponedDelaySeconds(
    policy,
    entry.postponements + 1,
    answer.retryAfterSeconds,
    random,
  )
  const at = addSeconds(now, delaySeconds)
  const reason = `Twilio did not process the request: ${answer.reason}`
  if (isTooLate(at, message)) return record(end(next, 'expired', `${reason}. ${BEYOND_DEADLINE}`))
  return putOff(next, unclaimed, at, reason)
}

function decideCallback(
  message: Message,
  report: Extract<Event, { kind: 'callback' }>,
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

/** Merges a report into its attempt's entry, and reads off the entries what the message is now. */
function settle(before: Message, entry: Attempt, report: Report, circumstances: Circumstances): Decision {
  const merged = merge(entry, report, circumstances)
  if (merged === entry) return { kind: 'ignore', why: 'known already' }
  const attempts = replaceEntry(before.attempts, merged)
  const message = { ...before, attempts, sid: sidOf(before, attempts) }

  const best = attempts.reduce((one, other) => (outranks(other.status, one.status) ? other : one))
  if (isDelivered(best.status)) return withdraw(before, end(message, best.status, null))

  // Only a new outcome of the latest attempt that was made can change what the message is.
  const decisive = attempts.findLast((attempt) => attempt.status !== 'pending')
  const isNews = merged.status !== entry.status || merged.errorCode !== entry.errorCode
  if (merged !== decisive || !isNews || before.status === 'canceled') return record(message)
  if (isFailedAttempt(merged.status)) return decideFailure(before, message, merged, circumstances)
  if (merged.status === 'canceled') return withdraw(before, end(message, 'canceled', 'Canceled at Twilio'))
  return withdraw(before, become({ ...message, nextRetryAt: null }, merged.status, null))
}

/**
 * The latest sid; save for a message that others submitted first: callbacks of that attempt name no message, and
 * the row would not be found by them any more.
 */
function sidOf({ sid }: Message, attempts: readonly Attempt[]): string | null {
  const isOfOthers = attempts.some((attempt) => attempt.sid === sid && attempt.times.submitting === undefined)
  if (sid !== null && isOfOthers) return sid
  return attempts.findLast((attempt) => attempt.sid !== null)?.sid ?? sid
}

/** The latest attempt failed: is there to be another? */
function decideFailure(
  before: Message,
  message: Message,
  failed: Attempt,
  circumstances: Circumstances,
): Decision {
  const { policy, now, random } = circumstances
  const giveUp = (status: DeliveryStatus, why: string): Decision =>
    withdraw(before, end(message, status, `${describe(failed)}. ${why}`))

  const rule = ruleFor(policy, failed.errorCode)
  if (rule.action === 'stop') return giveUp(failed.status, 'Trying again would not help')
  const limit = Math.min(rule.retries, message.maxRetries)
  if (failed.number >= limit)
    return giveUp(failed.status, `Given up after ${failed.number} of ${limit} retries`)
  if (message.body === null) return giveUp(failed.status, `Not tried again: ${NO_TEXT}`)
  const number = failed.number + 1
  const at = addSeconds(now, retryDelaySeconds(policy, rule, number, random))
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
    alarm: { attempt: number, postponements: 0 },
    at,
    message: become(next, 'retrying', reason),
  }
}

const PAST_DEADLINE = 'Its deadline passed before it could be sent'
const BEYOND_DEADLINE = 'The next try would come after the deadline'
const NO_TEXT = 'the row has no text (message_content)'
const NO_SUCH_ATTEMPT = 'the row does not know this attempt'

function describe({ errorCode, status }: Attempt): string {
  return `${errorCode ?? status}: ${reasonOf(errorCode)}`
}

function isWaiting(message: Message): boolean {
  return message.status === 'pending' || message.status === 'retrying'
}

function isTooLate(at: Date, { deadline }: Message): boolean {
  return deadline !== null && at >= deadline
}

/** A canceled message did not fail at that: `success` is what its latest attempt made it. */
function become(message: Message, status: DeliveryStatus, reason: string | null): Message {
  const made = message.attempts.findLast((attempt) => attempt.status !== 'pending')
  const hasFailed = made !== undefined && isFailedAttempt(made.status)
  const success = status === 'canceled' ? !hasFailed : !isFailure(status)
  return { ...message, status, success, reason }
}

/** The message in a final state, without the attempt that waited. */
function end(message: Message, status: DeliveryStatus, reason: string | null): Message {
  return become({ ...dropWaiting(message), nextRetryAt: null }, status, reason)
}

/** The same attempt is to be made later, with a new alarm. */
function putOff(message: Message, entry: Attempt, at: Date, reason: string | null): Decision {
  const postponed: Attempt = { ...entry, postponements: entry.postponements + 1 }
  const next = { ...message, nextRetryAt: at, attempts: replaceEntry(message.attempts, postponed) }
  return {
    kind: 'schedule',
    alarm: { attempt: entry.number, postponements: postponed.postponements },
    at,
    message: become(next, entry.number === 0 ? 'pending' : 'retrying', reason),
  }
}

function record(message: Message): Decision {
  return { kind: 'record', message }
}

/** Records `after`; if an attempt waited before and does not now, its job goes as well. */
function withdraw(before: Message, after: Message): Decision {
  if (!isWaiting(before)) return record(after)
  const postponements = before.attempts.find(({ number }) => number === before.retryCount)?.postponements ?? 0
  return { kind: 'unschedule', message: after, alarm: { attempt: before.retryCount, postponements } }
}

function addSeconds(time: Date, seconds: number): Date {
  return new Date(time.getTime() + Math.round(seconds * 1000))
}

/** Whole seconds left; null without a deadline. */
function secondsUntil(deadline: Date | null, now: Date): number | null {
  return deadline === null ? null : Math.floor((deadline.getTime() - now.getTime()) / 1000)
}
