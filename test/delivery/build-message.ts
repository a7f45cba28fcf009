// Builds messages, attempts and events for the tests of delivery/. Fields that a test does not set have the value of a new
// row.
import { WORKING_ACCOUNT } from '../../src/delivery/account-state.ts'
import { entriesOf, newAttempt } from '../../src/delivery/attempts.ts'
import { decide } from '../../src/delivery/decide.ts'
import type { Context, Decision } from '../../src/delivery/decision.ts'
import type { Answer, Attempt, Event, ListedMessage, Message } from '../../src/delivery/message.ts'
import { createRetryPolicy } from '../../src/delivery/retry-policy.ts'
import {
  type AttemptStatus,
  type DeliveryStatus,
  isTwilioStatus,
  type TwilioStatus,
} from '../../src/delivery/status.ts'
import { claimOf } from '../../src/delivery/transitions.ts'
import { newSid } from '../support/callbacks.ts'
import { UNRESTRICTED } from '../support/circumstances.ts'

export const NOW = new Date('2026-07-01T12:00:00.000Z')

/** The sid of attempt `number` in these tests. */
export const sidOf = (number: number): string => `SM${number.toString(16).padStart(32, '0')}`

export const secondsFromNow = (seconds: number): Date => new Date(NOW.getTime() + seconds * 1000)

/** The default policy without jitter, so that delays are whole numbers. */
export const POLICY = createRetryPolicy({ jitter: 0 })

export function context(fields: Partial<Context> = {}): Context {
  return {
    policy: POLICY,
    circumstances: UNRESTRICTED,
    account: WORKING_ACCOUNT,
    now: NOW,
    random: 0,
    ...fields,
  }
}

/** An attempt with this status that sms-retry made a minute ago. */
export function buildAttempt(number: number, status: AttemptStatus, fields: Partial<Attempt> = {}): Attempt {
  const sid = isTwilioStatus(status) ? sidOf(number) : null
  const at = secondsFromNow(-60).toISOString()
  const times = status === 'pending' ? { pending: at } : { submitting: at, [status]: at }
  return { ...newAttempt(number, status, null), sid, times, ...fields }
}

/** The statuses of a failed message. Listed here, so that the tests do not rely on the code under test. */
export const FAILURES: readonly DeliveryStatus[] = ['retrying', 'undelivered', 'failed', 'expired']

/** A message whose columns match its attempts, as after `decide`. */
export function buildMessage(
  status: DeliveryStatus,
  attempts: readonly Attempt[],
  fields: Partial<Message> = {},
): Message {
  return {
    id: 7,
    key: 'key_of-message_7',
    to: '+15550100123',
    body: 'Your table is ready',
    status,
    success: !FAILURES.includes(status),
    retryCount: attempts.at(-1)?.number ?? 0,
    maxRetries: 3,
    nextRetryAt: status === 'retrying' ? NOW : null,
    sid: attempts.findLast(({ sid }) => sid !== null)?.sid ?? null,
    deadline: null,
    sendAfter: null,
    sendWindow: null,
    timeZone: null,
    attempts,
    reason: null,
    processingTimeMs: null,
    createdAt: secondsFromNow(-60),
    reconcileAt: null,
    ...fields,
  }
}

/** A message whose attempt `number` is claimed, and whose earlier attempts failed with `code`. */
export function submittingMessage(number = 0, code = 30001, fields: Partial<Message> = {}): Message {
  const earlier = Array.from({ length: number }, (_, n) => buildAttempt(n, 'failed', { errorCode: code }))
  return buildMessage('submitting', [...earlier, buildAttempt(number, 'submitting')], fields)
}

/** @param attempt null for a URL that is not ours, so that only the sid identifies the attempt */
export function callback(
  status: TwilioStatus,
  errorCode: number | null = null,
  attempt: number | null = 0,
  sid: string = sidOf(attempt ?? 0),
): Extract<Event, { kind: 'report' | 'fetched' }> {
  return { kind: 'report', attempt, sid, status, errorCode, errorText: null }
}

/** The same status, from a lookup at Twilio. */
export function fetched(...said: Parameters<typeof callback>): Event {
  return { ...callback(...said), kind: 'fetched' }
}

/**
 * In an answer: whichever claim of its attempt is the latest when it is played. Left as it is, the claim of
 * `buildAttempt`.
 */
const LATEST_CLAIM = secondsFromNow(-60)

export function answer(answered: Answer, attempt = 0): Event {
  return { kind: 'answer', attempt, claimedAt: LATEST_CLAIM, answer: answered, processingTimeMs: 12 }
}

/** The same answer, for the claim at that time. */
export function toClaimAt(claimedAt: Date, answered: Event): Event {
  return { ...answered, claimedAt } as Event
}

/** The event as `play` applies it: an answer without a claim belongs to the latest one. */
export function toLatestClaim(message: Message, event: Event): Event {
  if (event.kind !== 'answer' || event.claimedAt !== LATEST_CLAIM) return event
  const entry = entriesOf(message).find(({ number }) => number === event.attempt)
  return entry === undefined ? event : { ...event, claimedAt: claimOf(message, entry) }
}

export function accepted(attempt = 0, sid: string = sidOf(attempt)): Event {
  return answer({ outcome: 'accepted', sid, status: 'queued', errorCode: null, errorText: null }, attempt)
}

export function rejected(errorCode: number | null, attempt = 0): Event {
  return answer({ outcome: 'rejected', errorCode, errorText: 'refused' }, attempt)
}

export function notProcessed(retryAfterSeconds: number | null = null, attempt = 0): Event {
  return answer({ outcome: 'not_processed', reason: 'too many requests', retryAfterSeconds }, attempt)
}

export function unknownOutcome(attempt = 0): Event {
  return answer({ outcome: 'unknown', reason: 'ECONNRESET' }, attempt)
}

/** An entry of Twilio's message list with the text of `buildMessage`, created two seconds after the claim. */
export function listedEntry(fields: Partial<ListedMessage> = {}): ListedMessage {
  return {
    sid: newSid(),
    body: 'Your table is ready',
    status: 'queued',
    errorCode: null,
    errorText: null,
    createdAt: secondsFromNow(-58),
    ...fields,
  }
}

export const due = (attempt: number): Event => ({ kind: 'due', attempt })

export const cancel: Event = { kind: 'cancel' }

/** A manual retry. */
export const retry = (fields: { seen?: Message; force?: boolean } = {}): Event => ({
  kind: 'retry',
  seen: null,
  force: false,
  ...fields,
})

type Adopt = Extract<Event, { kind: 'adopt' }>

/** A person names the sid of attempt `attempt`, which `buildAttempt` claimed. The sid is that of no other attempt. */
export function adopt(fields: Partial<Adopt> = {}): Adopt {
  return {
    kind: 'adopt',
    attempt: 0,
    claimedAt: LATEST_CLAIM,
    found: {
      account: null,
      isInbound: false,
      to: '+15550100123',
      body: 'Your table is ready',
      ageSeconds: 58,
    },
    sid: sidOf(999),
    status: 'sent',
    errorCode: null,
    errorText: null,
    ...fields,
  }
}

/** A person states that Twilio does not have attempt 0. */
export function notSent(fields: Partial<Extract<Event, { kind: 'not_sent' }>> = {}): Event {
  return { kind: 'not_sent', attempt: 0, claimedAt: LATEST_CLAIM, by: 'Ann', ...fields }
}

/** The message after the decision. */
export function outcomeOf(before: Message, decision: Decision): Message {
  return decision.kind === 'ignore' ? before : decision.message
}

/** The message after the events, one after the other, at the same time. */
export function play(message: Message, events: readonly Event[], fields: Partial<Context> = {}): Message {
  const next = (now: Message, event: Event): Message =>
    outcomeOf(now, decide(now, toLatestClaim(now, event), context(fields)))
  return events.reduce(next, message)
}

/** A short name of an event, for test names. */
export function wordsOf(event: Event): string {
  switch (event.kind) {
    case 'report':
    case 'fetched':
      return [event.kind === 'fetched' ? event.kind : null, event.status, event.errorCode]
        .filter((word) => word !== null)
        .join(' ')
    case 'answer': {
      const detail = 'errorCode' in event.answer ? event.answer.errorCode : null
      return ['answer', event.answer.outcome, detail].filter((word) => word !== null).join(' ')
    }
    case 'due':
      return `due ${event.attempt}`
    case 'retry':
      return event.force ? 'forced retry' : 'retry'
    case 'cancel':
    case 'reconcile':
    case 'missing':
      return event.kind
    case 'adopt':
      return `adopted as ${event.status}`
    case 'not_sent':
      return 'not sent, says a person'
    case 'listed':
      return `listed ${event.entries.length}`
  }
}
