// When a message is looked at if nothing happens to it until then. Every message that is not final has such a time,
// so that none can be forgotten: not one whose job was lost, not one whose answer or callback never came.
import type { Message } from './message.ts'
import { isFinal } from './status.ts'
import { addSeconds, isWaiting, latestAttempt, secondsBetween } from './transitions.ts'

/** A request starts within this time after its claim, or not at all. */
export const CLAIM_VALID_SECONDS = 5

/** A request that takes longer is given up; Twilio may still accept it, so its outcome is unknown. */
export const REQUEST_TIMEOUT_SECONDS = 10

/** Twilio has been seen at work on a request 26 seconds after its client had given up. */
const TWILIO_AT_WORK_SECONDS = 30

/** Nothing of a claimed attempt can reach Twilio's list later than this after the claim. */
export const LATEST_ACCEPTANCE_SECONDS =
  CLAIM_VALID_SECONDS + REQUEST_TIMEOUT_SECONDS + TWILIO_AT_WORK_SECONDS

/** An attempt whose outcome is not known so long after its claim is in doubt: its request takes no longer. */
export const IN_DOUBT_AFTER_SECONDS = 30

/** Callbacks of a delivery come within seconds; some carriers never report. */
const WITH_TWILIO_SECONDS = 300
const GIVE_UP_SECONDS = 72 * 3600

/** An attempt that is due and was not made: its job may be gone, or its worker may have died. */
const OVERDUE_SECONDS = 30
/** Even with shortened delays a worker needs its time. */
const MIN_OVERDUE_SECONDS = 5

const MAX_PAUSE_SECONDS = 900

/** One that is due much later is looked at now and then all the same: somebody may have changed its time. */
const MAX_WAIT_SECONDS = 6 * 3600

/** Beyond every clock: Twilio is not asked any more. */
export const NEVER = new Date('9999-12-31T00:00:00.000Z')

interface Watch {
  /** Since when the message has been what it is. */
  readonly since: Date
  /** Seconds after which it is first looked at. */
  readonly first: number
  /** Each look comes so many times as late as the one before ... */
  readonly growth: number
  /** ... but after this pause at the latest. */
  readonly longestPause: number
  /** After so many seconds it is left as it is; null for what must not be given up. */
  readonly giveUp: number | null
}

/** Null for a message that is final, and for a row that nobody has told us about. */
function watchOf(message: Message, delayScale: number): Watch | null {
  if (isFinal(message.status) || message.status === 'unknown') return null
  const longestPause = MAX_PAUSE_SECONDS * delayScale
  const giveUp = GIVE_UP_SECONDS * delayScale
  if (isWaiting(message)) {
    const waiting = message.attempts.find(({ number }) => number === message.retryCount)
    // What somebody else left behind long ago is not sent; what is ours is never given up.
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
  // Whoever looks may die before the answer is recorded: then the next look is not to be far away.
  return { since, first: firstLookupSeconds('submitting', delayScale), growth: 1.5, longestPause, giveUp }
}

export function isNever(time: Date | null): boolean {
  return time?.getTime() === NEVER.getTime()
}

/** An attempt of somebody else's that had waited for so long when it was first seen that it is not made. */
export function isLeftAlone(message: Message): boolean {
  return isWaiting(message) && isNever(message.reconcileAt)
}

/**
 * When to look at the message next: at first soon, then after pauses that grow, in the end never again. Null if
 * there is no need.
 */
export function reconcileTime(message: Message, delayScale: number, now: Date): Date | null {
  const watch = watchOf(message, delayScale)
  if (watch === null) return null
  const { since, first, growth, longestPause, giveUp } = watch
  const elapsed = secondsBetween(since, now)
  if (giveUp !== null && elapsed >= giveUp) return NEVER
  const next = Math.max(first, Math.min(growth * elapsed, elapsed + longestPause))
  const latest = Math.min(giveUp ?? next, isWaiting(message) ? elapsed + MAX_WAIT_SECONDS : next)
  return addSeconds(since, Math.min(next, latest))
}

/**
 * The same for a message that Twilio is about to be asked about. There may be no answer, or nobody left to record it:
 * so the pauses that grow long, and the end of all looks, come with the answer only.
 */
export function nextLookupTime(message: Message, delayScale: number, now: Date): Date {
  const soon = addSeconds(now, MAX_PAUSE_SECONDS * delayScale)
  const time = reconcileTime(message, delayScale, now)
  return time !== null && time < soon ? time : soon
}

/** True once the message has been what it is for so long that something may be wrong. */
export function isOverdue(message: Message, delayScale: number, now: Date): boolean {
  const watch = watchOf(message, delayScale)
  return watch !== null && secondsBetween(watch.since, now) >= watch.first
}

/** Seconds after which an attempt that waits (once it is due), or that was claimed, is first looked at. */
export function firstLookupSeconds(status: 'pending' | 'submitting', delayScale: number): number {
  if (status === 'pending') return Math.max(OVERDUE_SECONDS * delayScale, MIN_OVERDUE_SECONDS)
  // A request's own time is not scaled: before it has passed, nothing is in doubt.
  return CLAIM_VALID_SECONDS + REQUEST_TIMEOUT_SECONDS + TWILIO_AT_WORK_SECONDS * delayScale
}

function toDate(iso: string | undefined): Date | null {
  return iso === undefined ? null : new Date(iso)
}
