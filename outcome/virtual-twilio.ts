// Twilio and the networks behind it: the events that follow a submission in virtual time.
import type { Submission } from '../src/delivery/decision.ts'
import type { Answer, Event } from '../src/delivery/message.ts'
import type { AttemptDraws, VirtualMessage } from './virtual-month.ts'

export interface TimedEvent {
  readonly atMs: number
  readonly event: Event
}

/**
 * The answer of the API, and the report if Twilio accepts the message. An attempt fails if the cause has not ended, unless
 * the carrier stores the message until it has.
 */
export function eventsAfter(truth: VirtualMessage, submission: Submission, nowMs: number): TimedEvent[] {
  const { attempt } = submission
  const draws = truth.drawsOf(attempt)
  const isFailing = nowMs + draws.storedMs < truth.recoversAtMs
  const sid = sidOf(truth, attempt)
  const refusal = isFailing ? refusalOf(truth) : null
  const answer = refusal ?? {
    outcome: 'accepted',
    sid,
    status: 'queued',
    errorCode: null,
    errorText: null,
  }
  const answered: TimedEvent = {
    atMs: nowMs + draws.answerMs,
    event: {
      kind: 'answer',
      attempt,
      claimedAt: submission.claimedAt,
      answer,
      processingTimeMs: draws.answerMs,
    },
  }
  return refusal === null ? [answered, reportOf(truth, attempt, isFailing, answered.atMs, draws)] : [answered]
}

/** The answer to a request that Twilio does not accept; null if the failure comes by a report. */
function refusalOf({ cause, code }: VirtualMessage): Answer | null {
  switch (cause?.failsBy) {
    case 'refusal':
      return { outcome: 'rejected', errorCode: code, errorText: 'refused' }
    case 'not_processed':
      return { outcome: 'not_processed', reason: 'too many requests', retryAfterSeconds: null }
    case 'no_answer':
      return { outcome: 'unknown', reason: 'HTTP 503' }
    default:
      return null
  }
}

function reportOf(
  truth: VirtualMessage,
  attempt: number,
  isFailing: boolean,
  answeredAtMs: number,
  { failureMs, deliveryMs }: AttemptDraws,
): TimedEvent {
  return {
    atMs: isFailing ? answeredAtMs + failureMs : Math.max(answeredAtMs, truth.recoversAtMs) + deliveryMs,
    event: {
      kind: 'report',
      attempt,
      sid: sidOf(truth, attempt),
      status: isFailing ? 'undelivered' : 'delivered',
      errorCode: isFailing ? truth.code : null,
      errorText: null,
    },
  }
}

const sidOf = ({ id }: VirtualMessage, attempt: number): string =>
  `SM${id.toString(16).padStart(24, '0')}${attempt.toString(16).padStart(8, '0')}`
