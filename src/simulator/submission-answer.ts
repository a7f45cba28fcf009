// Owns the words for what became of a POST, and what each says about the message: that it exists or does not.
// Which fault leads to which word is left to chaos.ts, and what goes over the wire to answer-submission.ts.

/** The message exists and goes its way, whatever the client got to see. */
const CREATED = ['accepted', 'slow', 'garbage', 'server_error_after', 'reset', 'dripped', 'hung'] as const
/** Refused by the number scheme; Twilio's error code is on the resource. */
const REFUSED = ['refused', 'refused_reset'] as const
/** Nothing happened but the fault. */
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
 * What the client got: `accepted` the 201; `slow` the 201, late; `garbage` a 201 that cannot be read; `reset` and
 * `refused_reset` half an answer; `dripped` a part, byte by byte; `hung`, `hung_before` and `closed_before` none; the others an error's HTTP status.
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
