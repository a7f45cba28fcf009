// The send window of a message: which hours and time zones hold for it, and when it opens. gate.ts decides what follows.
import type { Circumstances, Context } from './decision.ts'
import type { Message } from './message.ts'
import { CLOCK_SPREAD_SECONDS } from './retry-policy.ts'
import { formatSendWindow, type SendWindow, windowState } from './send-window.ts'
import { addSeconds, secondsBetween } from './seconds.ts'

/** The part of a message that its send window depends on. */
export type WindowedMessage = Pick<Message, 'to' | 'sendWindow' | 'timeZone'>

/** The hours for a message that must wait for an opening, although no window is set. */
export const DEFAULT_WINDOW: SendWindow = { from: '08:00', to: '21:00' }

/** Closer to the end of an opening, nothing is submitted: Twilio could hardly send it in time. */
const MIN_OPEN_SECONDS = 60

/** The hours that hold for the message; null if it may be sent at any time. */
export function windowOf(
  { sendWindow }: WindowedMessage,
  circumstances: Pick<Circumstances, 'sendWindow'>,
): SendWindow | null {
  return sendWindow === 'any' ? null : (sendWindow ?? circumstances.sendWindow)
}

/** The window that the message itself has, for people; null if it has none, and no time zone. */
export function describeWindow({ sendWindow, timeZone }: Omit<WindowedMessage, 'to'>): string | null {
  if (sendWindow === 'any') return 'any time'
  const hours = sendWindow === null ? null : formatSendWindow(sendWindow)
  if (timeZone === null) return hours
  return hours === null ? `in ${timeZone}` : `${hours} in ${timeZone}`
}

/** The time zones in which the hours are read. Empty if they are not known. */
export function zonesOf(
  { to, timeZone }: WindowedMessage,
  circumstances: Pick<Circumstances, 'zonesOf'>,
): readonly string[] {
  return timeZone === null ? circumstances.zonesOf(to) : [timeZone]
}

/** Messages are sent from `startsAt` up to, but not including, `endsAt`. */
export interface Opening {
  readonly startsAt: Date
  readonly endsAt: Date
}

/** The opening at `at`, which then starts at `at`, or the next one. */
export function openingAt(at: Date, window: SendWindow, zones: readonly string[]): Opening {
  const state = windowState(at, window, zones)
  return { startsAt: state.open ? at : state.opensAt, endsAt: state.closesAt }
}

/** Like openingAt, but skips an opening that is about to end. */
export function usableOpening(at: Date, window: SendWindow, zones: readonly string[]): Opening {
  const opening = openingAt(at, window, zones)
  const secondsLeft = secondsBetween(at, opening.endsAt)
  if (opening.startsAt > at || secondsLeft >= MIN_OPEN_SECONDS) return opening
  const following = openingAt(opening.endsAt, window, zones)
  // If openings are this short, most of each must be usable.
  const isShort = secondsLeft >= secondsBetween(following.startsAt, following.endsAt) / 4
  return isShort ? opening : following
}

/**
 * A time shortly after the opening starts, so that messages that wait for the same opening do not all start together. Most of
 * the time up to the end of the opening, or up to an earlier deadline, remains.
 */
export function spreadOver(
  { startsAt, endsAt }: Opening,
  deadline: Date | null,
  { policy, random }: Context,
): Date {
  const lastsUntil = deadline !== null && deadline < endsAt ? deadline : endsAt
  const longest = Math.max(secondsBetween(startsAt, lastsUntil), 0) / 4
  return addSeconds(startsAt, Math.min(CLOCK_SPREAD_SECONDS * policy.jitter, longest) * random)
}

/**
 * When the next opening starts, for a message that a carrier has just refused because of the hour: an opening that includes
 * `now` is skipped. Null if the time zones are not known, or if the window never closes.
 */
export function openingAfterRefusal(
  message: WindowedMessage & Pick<Message, 'deadline'>,
  context: Context,
): Date | null {
  const { now, circumstances } = context
  const { deadline } = message
  const window = windowOf(message, circumstances) ?? circumstances.sendWindow ?? DEFAULT_WINDOW
  const zones = zonesOf(message, circumstances)
  if (zones.length === 0) return null
  const opening = openingAt(now, window, zones)
  if (opening.startsAt > now) return spreadOver(opening, deadline, context)
  const following = openingAt(opening.endsAt, window, zones)
  return following.startsAt > opening.endsAt ? spreadOver(following, deadline, context) : null
}
