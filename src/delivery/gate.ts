// The gate: whether a message may be submitted at a time, only later, or never. Asked before each submission, and whenever an
// attempt is scheduled, so that `next_retry_at` is the true time. Only the end of a hold or pause is not known.
import { blockOf } from './account-state.ts'
import type { Circumstances, Context } from './decision.ts'
import type { Message } from './message.ts'
import {
  openingAt,
  spreadOver,
  usableOpening,
  type WindowedMessage,
  windowOf,
  zonesOf,
} from './message-window.ts'
import { formatSendWindow, type SendWindow } from './send-window.ts'
import type { FinalStatus } from './status.ts'
import { BEYOND_DEADLINE, isTooLate, NO_TEXT } from './transitions.ts'
import { addSeconds, secondsBetween } from './seconds.ts'

export type GatedMessage = WindowedMessage & Pick<Message, 'body' | 'deadline' | 'sendAfter'>

export type Passage =
  /** With the text to submit. Twilio must not deliver it at or after `until`; null for no limit. */
  | { readonly kind: 'now'; readonly body: string; readonly until: Date | null }
  | { readonly kind: 'at'; readonly at: Date; readonly reason: string }
  | {
      readonly kind: 'never'
      readonly status: Extract<FinalStatus, 'expired' | 'canceled' | 'failed'>
      readonly reason: string
    }

/** Whether the message may be submitted at `at`, which is `context.now` or later. */
export function gate(message: GatedMessage, at: Date, context: Context): Passage {
  const { circumstances, now } = context
  if (!circumstances.isAllowed(message.to)) return never('canceled', NOT_ALLOWED)
  if (message.deadline !== null && hasPassed(message.deadline, at, now))
    return never('expired', at > now ? BEYOND_DEADLINE : PAST_DEADLINE)
  const { body } = message
  if (body === null) return never('failed', `Not sent: ${NO_TEXT}`)

  // The rules that only delay. Each starts from the earliest time that the one before allows.
  const { sendAfter } = message
  const asked: Delay = { at, reasons: [] }
  const requested = sendAfter !== null && sendAfter > at ? delayed(asked, sendAfter, LATER) : asked
  const unblocked = delayByBlock(requested, context)
  const { until = null, reasons, ...delay } = delayToOpening(message, unblocked, context)

  if (reasons.length === 0) return { kind: 'now', body, until: earlier(message.deadline, until) }
  const reason = reasons.join('. ')
  if (isTooLate(delay.at, message)) return never('expired', `${reason}. ${BEYOND_DEADLINE}`)
  return { kind: 'at', at: delay.at, reason }
}

/** The earliest time so far, and the reasons of the delays up to it. */
interface Delay {
  readonly at: Date
  readonly reasons: readonly string[]
  /** The end of the opening that includes `at`. */
  readonly until?: Date
}

function delayed({ reasons }: Delay, at: Date, reason: string): Delay {
  return { at, reasons: [...reasons, reason] }
}

/** A hold or a pause. Its end is not known, so a later time is not delayed: it is asked about again then. */
function delayByBlock(earliest: Delay, { account, now }: Context): Delay {
  const block = blockOf(account, now)
  return block === null || earliest.at >= block.until
    ? earliest
    : delayed(earliest, block.until, block.reason)
}

function delayToOpening(message: GatedMessage, earliest: Delay, context: Context): Delay {
  const { circumstances } = context
  const window = windowOf(message, circumstances)
  if (window === null) return earliest
  const zones = zonesOf(message, circumstances)
  // A guess could send it at night. This happens only if the settings of two processes differ.
  if (zones.length === 0)
    return delayed(earliest, addSeconds(earliest.at, UNKNOWN_ZONE_SECONDS), UNKNOWN_ZONE)
  const opening = usableOpening(earliest.at, window, zones)
  if (opening.startsAt <= earliest.at) return { ...earliest, until: opening.endsAt }
  return delayed(earliest, spreadOver(opening, message.deadline, context), outside(window, zones))
}

/**
 * Whether the gate's answer depends on the time, for a new message of a working account. If not, the database's clock need
 * not be read.
 */
export function dependsOnTime(
  message: Omit<GatedMessage, 'deadline'>,
  circumstances: Circumstances,
): boolean {
  return message.sendAfter !== null || windowOf(message, circumstances) !== null
}

/** Twilio queues a message for at most 10 hours. Source: Message resource, `ValidityPeriod`. */
export const MAX_VALIDITY_SECONDS = 36_000

/** True if the end of its send window, and nothing else, limited how long Twilio could keep an attempt. */
export function isLimitedByWindow(
  message: GatedMessage,
  claimedAt: Date,
  circumstances: Circumstances,
): boolean {
  const window = windowOf(message, circumstances)
  if (window === null) return false
  const zones = zonesOf(message, circumstances)
  if (zones.length === 0) return false
  const { endsAt } = openingAt(claimedAt, window, zones)
  const isBeforeDeadline = message.deadline === null || endsAt < message.deadline
  return isBeforeDeadline && secondsBetween(claimedAt, endsAt) <= MAX_VALIDITY_SECONDS
}

/** An attempt that would be submitted now needs a second: that is Twilio's shortest validity. */
function hasPassed(deadline: Date, at: Date, now: Date): boolean {
  return at > now ? at >= deadline : secondsBetween(at, deadline) < 1
}

function earlier(one: Date | null, other: Date | null): Date | null {
  if (one === null || other === null) return one ?? other
  return one < other ? one : other
}

const UNKNOWN_ZONE_SECONDS = 3600

const NOT_ALLOWED = 'The recipient is not in RECIPIENT_ALLOWLIST'
export const PAST_DEADLINE = 'Its deadline passed before it could be sent'
const LATER = 'The app asked for a later time (sendAfter)'
const UNKNOWN_ZONE =
  'Its send window cannot be read, because the time zone of its number is not known. Set SEND_WINDOW_FALLBACK_TIME_ZONE'

function outside(window: SendWindow, zones: readonly string[]): string {
  const place = zones.length === 1 ? `in ${zones[0]}` : 'in the time zones of the recipient'
  return `It waits for its send window, ${formatSendWindow(window)} ${place}`
}

function never(status: Extract<Passage, { kind: 'never' }>['status'], reason: string): Passage {
  return { kind: 'never', status, reason }
}
