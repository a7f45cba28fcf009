// The possible answers to a POST, and whether the message exists after each. chaos.ts maps faults to answers;
// answer-submission.ts sends them.

/** The message exists, whatever the client received. */
const CREATED = ['accepted', 'slow', 'garbage', 'server_error_after', 'reset', 'dripped', 'hung'] as const
/** Refused by the account or the number scheme. The resource has Twilio's error code. */
const REFUSED = ['refused', 'refused_reset'] as const
/** The message does not exist. */
const NOT_PROCESSED = [
  'rate_limited',
  'unavailable',
  'server_error',
  'proxy_page',
  'hung_before',
  'closed_before',
] as const

export type CreatedAnswer = (typeof CREATED)[number]
export type RefusedAnswer = (typeof REFUSED)[number]
export type NotProcessedAnswer = (typeof NOT_PROCESSED)[number]

/**
 * What the client received. `accepted`: the 201. `slow`: the 201, late. `garbage`: an unreadable 201. `reset` and
 * `refused_reset`: half of the answer. `dripped`: a part, one byte at a time. `hung`, `hung_before` and `closed_before`:
 * nothing. The others: an HTTP error status.
 */
export type SubmissionAnswer = CreatedAnswer | RefusedAnswer | NotProcessedAnswer

export function wasCreated(answer: SubmissionAnswer): answer is CreatedAnswer {
  return CREATED.some((created) => created === answer)
}

export function wasRefused(answer: SubmissionAnswer): answer is RefusedAnswer {
  return REFUSED.some((refused) => refused === answer)
}

export function wasNotProcessed(answer: SubmissionAnswer): answer is NotProcessedAnswer {
  return NOT_PROCESSED.some((notProcessed) => notProcessed === answer)
}
