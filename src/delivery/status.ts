// The vocabulary of delivery statuses: their order of life, which are final and which are failures.
// What follows from a status is decided in decide.ts.

/** Twilio's statuses of an outbound message, in order of life. Source: Message resource, "Message Status Values". */
export const TWILIO_STATUSES = [
  'accepted',
  'scheduled',
  'queued',
  'sending',
  'sent',
  'undelivered',
  'failed',
  'canceled',
  'delivered',
  'read',
] as const

export type TwilioStatus = (typeof TWILIO_STATUSES)[number]

/**
 * The status of one attempt: `pending` (scheduled, not claimed yet), `submitting` (claimed; the request to
 * Twilio may be under way), then Twilio's word.
 */
export type AttemptStatus = 'pending' | 'submitting' | TwilioStatus

/**
 * The status of a message, column `final_status`. Beyond its latest attempt's status: `unknown` (a row that
 * nobody has told us about), `retrying` (the latest attempt failed, the next is due at `next_retry_at`) and
 * `expired` (its deadline passed before it got through).
 */
export type DeliveryStatus = 'unknown' | 'retrying' | 'expired' | AttemptStatus

export const DELIVERY_STATUSES: readonly DeliveryStatus[] = [
  'unknown',
  'pending',
  'submitting',
  'retrying',
  'expired',
  ...TWILIO_STATUSES,
]

/**
 * Orders the reports on one attempt, so that the highest wins in whatever order they arrive. `delivered`
 * outranks every failure (Twilio has been seen to correct itself that way), only `read` outranks
 * `delivered`. `canceled` outranks the failures because nobody wants a canceled message sent again.
 */
const RANKS: Record<AttemptStatus, number> = {
  pending: 0,
  submitting: 1,
  accepted: 2,
  scheduled: 3,
  queued: 4,
  sending: 5,
  sent: 6,
  undelivered: 7,
  failed: 8,
  canceled: 9,
  delivered: 10,
  read: 11,
}

export function outranks(one: AttemptStatus, other: AttemptStatus): boolean {
  return RANKS[one] > RANKS[other]
}

/** True for `undelivered` and `failed`, the two words with which Twilio gives an attempt up. */
export function isFailedAttempt(status: AttemptStatus): status is 'undelivered' | 'failed' {
  return status === 'undelivered' || status === 'failed'
}

/** True once the recipient has the message. Nothing after that can make it a failure. */
export function isDelivered(status: DeliveryStatus): status is 'delivered' | 'read' {
  return status === 'delivered' || status === 'read'
}

export const FINAL_STATUSES = ['delivered', 'read', 'undelivered', 'failed', 'canceled', 'expired'] as const

export type FinalStatus = (typeof FINAL_STATUSES)[number]

const FINAL: ReadonlySet<DeliveryStatus> = new Set(FINAL_STATUSES)

/**
 * True for a status after which nothing is done for the message. A late report can still correct it: `delivered`
 * and `read` always, a `canceled` or a worse failure code of the same attempt as well.
 */
export function isFinal(status: DeliveryStatus): status is FinalStatus {
  return FINAL.has(status)
}

const FAILURES: ReadonlySet<DeliveryStatus> = new Set(['retrying', 'undelivered', 'failed', 'expired'])

/** True while the latest known outcome is a failure: exactly then the column `success` is false. */
export function isFailure(status: DeliveryStatus): boolean {
  return FAILURES.has(status)
}

export function isTwilioStatus(word: string): word is TwilioStatus {
  return (TWILIO_STATUSES as readonly string[]).includes(word)
}

/** Of inbound messages. No report on an attempt has them. */
const INBOUND_STATUSES: readonly string[] = ['receiving', 'received']

/** A word that Twilio may have added since: lower case, as all of its statuses are. */
export function isNewStatus(word: string): boolean {
  return /^[a-z][a-z_-]{1,39}$/.test(word) && !isTwilioStatus(word) && !INBOUND_STATUSES.includes(word)
}

export function isAttemptStatus(word: string): word is AttemptStatus {
  return Object.hasOwn(RANKS, word)
}

export function isDeliveryStatus(word: string): word is DeliveryStatus {
  return (DELIVERY_STATUSES as readonly string[]).includes(word)
}
