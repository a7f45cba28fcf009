// Computes when a message is reconciled next if no event comes first. Every message that is not final has such a time,
// so lost jobs, lost answers and lost callbacks are all found.
import type { Message, ReconcileAt } from './message.ts'
import { isFinal } from './status.ts'
import { isWaiting, latestAttempt } from './transitions.ts'
import { addSeconds, secondsBetween } from './seconds.ts'

/** A request starts within this time after its claim, or not at all. */
export const CLAIM_VALID_SECONDS = 5

/** A longer request is aborted. Its outcome is unknown, because Twilio may still accept the message. */
export const REQUEST_TIMEOUT_SECONDS = 10

/** Twilio was observed to process a request 26 seconds after its client had timed out. */
const TWILIO_PROCESSING_SECONDS = 30

/** A claimed attempt enters Twilio's message list within this time after the claim, or never. */
export const LATEST_ACCEPTANCE_SECONDS =
  CLAIM_VALID_SECONDS + REQUEST_TIMEOUT_SECONDS + TWILIO_PROCESSING_SECONDS

/** When an attempt with an unknown outcome counts as in doubt. Its request has timed out by then. */
export const IN_DOUBT_AFTER_SECONDS = 30

/**
 * When a message without a final status is first looked up. Most callbacks come within seconds, but some carriers never
 * report.
 */
const FIRST_LOOKUP_SECONDS = 300
/** After this time without news, a message is no longer checked. */
const GIVE_UP_SECONDS = 72 * 3600

/** A waiting attempt is overdue this long after its due time: its job may be lost, or its worker may have died. */
const OVERDUE_SECONDS = 30
/** Workers need this time even if delays are scaled down. */
const MIN_OVERDUE_SECONDS = 5

/** The longest pause between two checks of a waiting attempt, or of one in doubt. */
const MAX_PAUSE_SECONDS = 900

/**
 * A waiting attempt is checked before it is due as well, because its due time may have been changed by hand: after six
 * hours, or after an eighth of a long wait. So a wait of a year takes about 50 checks, not 1,460.
 */
const MAX_WAIT_SECONDS = 6 * 3600
const MAX_WAIT_SHARE = 1 / 8

interface Checks {
  /** When the message reached its current state. */
  readonly since: Date
  /** Seconds after `since` until the first check. */
  readonly firstSeconds: number
  /** The factor by which the time since `since` grows between two checks. */
  readonly growth: number
  /** Maximum seconds between two checks. */
  readonly maxPauseSeconds: number
  /** Seconds after which the checks end; null for never. */
  readonly giveUpSeconds: number | null
}

/** When to check a message. Null for a final message, and for a row of the app that sms-retry does not manage. */
function checksOf(message: Message, delayScale: number): Checks | null {
  if (isFinal(message.status) || message.status === 'unknown') return null
  const maxPauseSeconds = MAX_PAUSE_SECONDS * delayScale
  const giveUpSeconds = GIVE_UP_SECONDS * delayScale
  if (isWaiting(message)) {
    const waiting = message.attempts.find(({ number }) => number === message.retryCount)
    // A row that the app wrote long ago is not sent, so its checks end. Those of our own rows never end.
    const isFirstRead = message.reconcileAt === null
    const since = message.nextRetryAt ?? toDate(waiting?.times.pending) ?? message.createdAt
    return {
      since,
      firstSeconds: firstLookupSeconds('pending', delayScale),
      growth: 2,
      maxPauseSeconds,
      giveUpSeconds: isFirstRead ? giveUpSeconds : null,
    }
  }
  const latest = latestAttempt(message)
  const since = toDate(latest?.times[latest.status]) ?? message.createdAt
  if (message.status !== 'submitting') {
    const firstSeconds = FIRST_LOOKUP_SECONDS * delayScale
    return { since, firstSeconds, growth: 2, maxPauseSeconds: Number.POSITIVE_INFINITY, giveUpSeconds }
  }
  // A process may die during the lookup, so the next one must follow soon.
  return {
    since,
    firstSeconds: firstLookupSeconds('submitting', delayScale),
    growth: 1.5,
    maxPauseSeconds,
    giveUpSeconds,
  }
}

/** True for a waiting attempt that is made only if a person asks for it. */
export function isSetAside(message: Message): boolean {
  return isWaiting(message) && message.reconcileAt === 'set_aside'
}

/** When to reconcile the message next: soon at first, then after growing pauses. Null if that is not needed. */
export function reconcileTime(message: Message, delayScale: number, now: Date): ReconcileAt | null {
  const checks = checksOf(message, delayScale)
  if (checks === null) return null
  const { since, firstSeconds, growth, maxPauseSeconds, giveUpSeconds } = checks
  const elapsed = secondsBetween(since, now)
  if (giveUpSeconds !== null && elapsed >= giveUpSeconds) return isWaiting(message) ? 'set_aside' : 'never'
  const next = Math.max(firstSeconds, Math.min(growth * elapsed, elapsed + maxPauseSeconds))
  const limit = Math.min(
    giveUpSeconds ?? next,
    isWaiting(message) ? elapsed + maxWaitSeconds(-elapsed) : next,
  )
  return addSeconds(since, Math.min(next, limit))
}

function maxWaitSeconds(secondsUntilDue: number): number {
  return Math.max(MAX_WAIT_SECONDS, secondsUntilDue * MAX_WAIT_SHARE)
}

/** Seconds until a new message is first checked, if its first attempt is due after `secondsUntilDue`. */
export function firstCheckSeconds(secondsUntilDue: number, delayScale: number): number {
  const overdueSeconds = secondsUntilDue + firstLookupSeconds('pending', delayScale)
  return Math.min(overdueSeconds, maxWaitSeconds(secondsUntilDue))
}

/**
 * The next reconcile time of a message that is about to be looked up at Twilio. It is soon, because the lookup can fail
 * or its result can be lost. Recording the result sets a longer pause, or ends the checks.
 */
export function nextLookupTime(message: Message, delayScale: number, now: Date): Date {
  const soon = addSeconds(now, MAX_PAUSE_SECONDS * delayScale)
  const time = reconcileTime(message, delayScale, now)
  return time instanceof Date && time < soon ? time : soon
}

/** True if the message has been in its state for so long that something may be wrong. */
export function isOverdue(message: Message, delayScale: number, now: Date): boolean {
  const checks = checksOf(message, delayScale)
  return checks !== null && secondsBetween(checks.since, now) >= checks.firstSeconds
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
