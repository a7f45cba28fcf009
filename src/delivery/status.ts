// The delivery statuses: their order, which are final and which are failures. decide.ts decides what follows from one.

/** Twilio's statuses of an outbound message, in their order. Source: Message resource, "Message Status Values". */
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
 * The status of one attempt: `pending` (scheduled, not claimed yet), `submitting` (claimed; its request may be running),
 * then Twilio's status.
 */
export type AttemptStatus = 'pending' | 'submitting' | TwilioStatus

/**
 * The status of a message, column `final_status`: that of its latest attempt, or one of three others. `unknown`: sms-retry
 * does not manage this row of the app. `retrying`: the latest attempt failed, and the next is due at `next_retry_at`.
 * `expired`: the deadline passed before it was delivered.
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
 * Ranks the reports on one attempt: the highest wins, in whatever order they arrive. `delivered` outranks every failure,
 * because Twilio corrects itself that way; only `read` outranks `delivered`. `canceled` outranks the failures, because a
 * canceled message must not be retried.
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

/** True for `undelivered` and `failed`, Twilio's two statuses of a failed attempt. */
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
 * True for a status after which sms-retry no longer acts. A late report can still correct it: `delivered` and `read`
 * always, and a `canceled` or a worse failure code of the same attempt.
 */
export function isFinal(status: DeliveryStatus): status is FinalStatus {
  return FINAL.has(status)
}

const FAILURES: ReadonlySet<DeliveryStatus> = new Set(['retrying', 'undelivered', 'failed', 'expired'])

/** True while the latest known outcome is a failure. The column `success` is false exactly then. */
export function isFailure(status: DeliveryStatus): boolean {
  return FAILURES.has(status)
}

export function isTwilioStatus(word: string): word is TwilioStatus {
  return (TWILIO_STATUSES as readonly string[]).includes(word)
}

/** The statuses of inbound messages. No report on an attempt has them. */
const INBOUND_STATUSES: readonly string[] = ['receiving', 'received']

/** True for a status that Twilio may have added after this version: in lower case, as all of its statuses are. */
export function isNewStatus(word: string): boolean {
  return /^[a-z][a-z_-]{1,39}$/.test(word) && !isTwilioStatus(word) && !INBOUND_STATUSES.includes(word)
}

export function isAttemptStatus(word: string): word is AttemptStatus {
  return Object.hasOwn(RANKS, word)
}

export function isDeliveryStatus(word: string): word is DeliveryStatus {
  return (DELIVERY_STATUSES as readonly string[]).includes(word)
}
