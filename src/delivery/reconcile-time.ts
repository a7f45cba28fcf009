// When a message is next reconciled if no event comes before. Every message that is not final has such a time, so lost
// jobs, lost answers and lost callbacks are all found.
import type { Message, ReconcileAt } from './message.ts'
import { isFinal } from './status.ts'
import { addSeconds, isWaiting, latestAttempt, secondsBetween } from './transitions.ts'

/** A request starts within this time after its claim, or not at all. */
export const CLAIM_VALID_SECONDS = 5

/** A longer request is aborted. Twilio may still accept it, so its outcome is unknown. */
export const REQUEST_TIMEOUT_SECONDS = 10

/** Twilio was observed to process a request 26 seconds after its client had timed out. */
const TWILIO_PROCESSING_SECONDS = 30

/** A claimed attempt enters Twilio's message list within this time after the claim, or never. */
export const LATEST_ACCEPTANCE_SECONDS =
  CLAIM_VALID_SECONDS + REQUEST_TIMEOUT_SECONDS + TWILIO_PROCESSING_SECONDS

/** An attempt with an unknown outcome is in doubt after this time. Its request has timed out by then. */
export const IN_DOUBT_AFTER_SECONDS = 30

/** Most callbacks come within seconds; some carriers never report. */
const WITH_TWILIO_SECONDS = 300
const GIVE_UP_SECONDS = 72 * 3600

/** An attempt that was due and not made in this time: its job may be lost, or its worker may have died. */
const OVERDUE_SECONDS = 30
/** Workers need this time even if delays are scaled down. */
const MIN_OVERDUE_SECONDS = 5

const MAX_PAUSE_SECONDS = 900

/** An attempt that is due later than this is checked in between, because somebody may have changed its time. */
const MAX_WAIT_SECONDS = 6 * 3600

interface Watch {
  /** Since when the message has been in its current state. */
  readonly since: Date
  /** Seconds after `since` until the first check. */
  readonly first: number
  /** Factor by which the time since `since` grows from one check to the next. */
  readonly growth: number
  /** Maximum seconds between two checks. */
  readonly longestPause: number
  /** Seconds after which the checks end; null for never. */
  readonly giveUp: number | null
}

/** Null for a message that is final, and for a row of the app that sms-retry does not manage. */
function watchOf(message: Message, delayScale: number): Watch | null {
  if (isFinal(message.status) || message.status === 'unknown') return null
  const longestPause = MAX_PAUSE_SECONDS * delayScale
  const giveUp = GIVE_UP_SECONDS * delayScale
  if (isWaiting(message)) {
    const waiting = message.attempts.find(({ number }) => number === message.retryCount)
    // A row that the app left waiting long ago is not sent. Our own rows are never given up.
    const isNew = message.reconcileAt === null
    const since = message.nextRetryAt ?? toDate(waiting?.times.pending) ?? message.createdAt
    return {
      since,
      first: firstLookupSeconds('pending', delayScale),
      growth: 2,
      longestPause,
      giveUp: isNew ? giveUp : null,
    }
  }
  const made = latestAttempt(message)
  const since = toDate(made?.times[made.status]) ?? message.createdAt
  if (message.status !== 'submitting') {
    const first = WITH_TWILIO_SECONDS * delayScale
    return { since, first, growth: 2, longestPause: Number.POSITIVE_INFINITY, giveUp }
  }
  // A process may die during the lookup, so the next one must not be far away.
  return { since, first: firstLookupSeconds('submitting', delayScale), growth: 1.5, longestPause, giveUp }
}

/** True for a waiting attempt that is not made unless a person asks for it. */
export function isOnHold(message: Message): boolean {
  return isWaiting(message) && message.reconcileAt === 'on_hold'
}

/** When to reconcile the message next: soon at first, then after growing pauses. Null if that is not needed. */
export function reconcileTime(message: Message, delayScale: number, now: Date): ReconcileAt | null {
  const watch = watchOf(message, delayScale)
  if (watch === null) return null
  const { since, first, growth, longestPause, giveUp } = watch
  const elapsed = secondsBetween(since, now)
  if (giveUp !== null && elapsed >= giveUp) return isWaiting(message) ? 'on_hold' : 'never'
  const next = Math.max(first, Math.min(growth * elapsed, elapsed + longestPause))
  const latest = Math.min(giveUp ?? next, isWaiting(message) ? elapsed + MAX_WAIT_SECONDS : next)
  return addSeconds(since, Math.min(next, latest))
}

/**
 * When to reconcile a message again that is about to be looked up at Twilio. The lookup can fail, or its result can be
 * lost, so this is soon. Longer pauses, and the end of the checks, are set when the result is recorded.
 */
export function nextLookupTime(message: Message, delayScale: number, now: Date): Date {
  const soon = addSeconds(now, MAX_PAUSE_SECONDS * delayScale)
  const time = reconcileTime(message, delayScale, now)
  return time instanceof Date && time < soon ? time : soon
}

/** True if the message has been in its state for so long that something may be wrong. */
export function isOverdue(message: Message, delayScale: number, now: Date): boolean {
  const watch = watchOf(message, delayScale)
  return watch !== null && secondsBetween(watch.since, now) >= watch.first
}

/** Seconds until the first check: of a waiting attempt, since it was due; of a claimed one, since its claim. */
export function firstLookupSeconds(status: 'pending' | 'submitting', delayScale: number): number {
  if (status === 'pending') return Math.max(OVERDUE_SECONDS * delayScale, MIN_OVERDUE_SECONDS)
  // The request's time-out is not scaled, and nothing is in doubt before it.
  return CLAIM_VALID_SECONDS + REQUEST_TIMEOUT_SECONDS + TWILIO_PROCESSING_SECONDS * delayScale
}

function toDate(iso: string | undefined): Date | null {
  return iso === undefined ? null : new Date(iso)
}
