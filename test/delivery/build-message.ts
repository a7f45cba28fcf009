// Builds messages, attempts and events for the tests of the pure floor: every field that a test does not name
// has the value that a fresh row would have.
import { newAttempt } from '../../src/delivery/attempts.ts'
import { decide } from '../../src/delivery/decide.ts'
import type { Circumstances, Decision } from '../../src/delivery/decision.ts'
import type { Answer, Attempt, Event, Message } from '../../src/delivery/message.ts'
import { createRetryPolicy } from '../../src/delivery/retry-policy.ts'
import {
  type AttemptStatus,
  type DeliveryStatus,
  isTwilioStatus,
  type TwilioStatus,
} from '../../src/delivery/status.ts'

export const NOW = new Date('2026-07-01T12:00:00.000Z')

/** Twilio's id of attempt `number` in these tests. */
export const sidOf = (number: number): string => `SM${number.toString(16).padStart(32, '0')}`

export const secondsFromNow = (seconds: number): Date => new Date(NOW.getTime() + seconds * 1000)

/** The default policy without jitter, so that delays are whole numbers. */
export const POLICY = createRetryPolicy({ jitter: 0 })

export function circumstances(fields: Partial<Circumstances> = {}): Circumstances {
  return { policy: POLICY, now: NOW, random: 0, ...fields }
}

/** An attempt that we made a minute ago, in `status`. */
export function buildAttempt(number: number, status: AttemptStatus, fields: Partial<Attempt> = {}): Attempt {
  const sid = isTwilioStatus(status) ? sidOf(number) : null
  const at = secondsFromNow(-60).toISOString()
  const times = status === 'pending' ? { pending: at } : { submitting: at, [status]: at }
  return { ...newAttempt(number, status, null), sid, times, ...fields }
}

/** The statuses of a message that failed as far as is known; written out, so that the source is not its own judge. */
export const FAILURES: readonly DeliveryStatus[] = ['retrying', 'undelivered', 'failed', 'expired']

/** A message whose status and columns follow from its attempts, as `decide` leaves them. */
export function buildMessage(
  status: DeliveryStatus,
  attempts: readonly Attempt[],
  fields: Partial<Message> = {},
): Message {
  return {
    id: 7,
    to: '+15550100123',
    body: 'Your table is ready',
    status,
    success: !FAILURES.includes(status),
    retryCount: attempts.at(-1)?.number ?? 0,
    maxRetries: 3,
    nextRetryAt: status === 'retrying' ? NOW : null,
    sid: attempts.findLast(({ sid }) => sid !== null)?.sid ?? null,
    deadline: null,
    attempts,
    reason: null,
    processingTimeMs: null,
    ...fields,
  }
}

/** A message whose attempt `number` is claimed, and whose earlier attempts failed with `code`. */
export function submittingMessage(number = 0, code = 30001, fields: Partial<Message> = {}): Message {
  const earlier = Array.from({ length: number }, (_, n) => buildAttempt(n, 'failed', { errorCode: code }))
  return buildMessage('submitting', [...earlier, buildAttempt(number, 'submitting')], fields)
}

/** @param attempt null for a URL that is not ours: then only the sid says which attempt it is about */
export function callback(
  status: TwilioStatus,
  errorCode: number | null = null,
  attempt: number | null = 0,
  sid: string = sidOf(attempt ?? 0),
): Event {
  return { kind: 'callback', attempt, sid, status, errorCode, errorText: null }
}

export function answer(answered: Answer, attempt = 0): Event {
  return { kind: 'answer', attempt, answer: answered, processingTimeMs: 12 }
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

export const due = (attempt: number): Event => ({ kind: 'due', attempt })

export const cancel: Event = { kind: 'cancel' }

/** The message as the decision leaves it. */
export function outcomeOf(before: Message, decision: Decision): Message {
  return decision.kind === 'ignore' ? before : decision.message
}

/** The message as the events leave it, one after the other, at the same time. */
export function play(
  message: Message,
  events: readonly Event[],
  fields: Partial<Circumstances> = {},
): Message {
  return events.reduce((now, event) => outcomeOf(now, decide(now, event, circumstances(fields))), message)
}

/** An event in a few words, for the name of a test. */
export function wordsOf(event: Event): string {
  switch (event.kind) {
    case 'callback':
      return [event.status, event.errorCode].filter((word) => word !== null).join(' ')
    case 'answer': {
      const detail = 'errorCode' in event.answer ? event.answer.errorCode : null
      return ['answer', event.answer.outcome, detail].filter((word) => word !== null).join(' ')
    }
    case 'due':
      return `due ${event.attempt}`
    case 'cancel':
      return 'cancel'
  }
}
