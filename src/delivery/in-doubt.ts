// Settles an attempt in doubt by the word of a person who looked it up in Twilio's console: it is the message with this sid,
// or Twilio does not have it. An error loses a text or sends it twice, so a statement that contradicts the facts is refused.
import { applyReport } from './apply-report.ts'
import type { Context, Decision } from './decision.ts'
import { compareTexts } from './find-attempt.ts'
import { isSameAddress } from './message-proof.ts'
import type { Attempt, Event, Message } from './message.ts'
import { LATEST_ACCEPTANCE_SECONDS } from './reconcile-time.ts'
import { repeatAttempt } from './repeat-attempt.ts'
import { secondsBetween } from './seconds.ts'
import { claimOf, isLatestClaim, latestAttempt } from './transitions.ts'

/** The attempt in doubt of a message, for a person to settle. */
export interface AttemptInDoubt {
  readonly attempt: number
  readonly claimedAt: Date
  /** Null if the row does not record it. */
  readonly account: string | null
}

/** Null if the message is not in doubt. A request that may be under way is not in doubt yet. */
export function attemptInDoubt(message: Message, now: Date): AttemptInDoubt | null {
  const entry = latestAttempt(message)
  if (message.status !== 'submitting' || entry?.status !== 'submitting') return null
  const claimedAt = claimOf(message, entry)
  return mayBeUnderWay(claimedAt, now) ? null : { attempt: entry.number, claimedAt, account: entry.account }
}

function mayBeUnderWay(claimedAt: Date, now: Date): boolean {
  return secondsBetween(claimedAt, now) <= LATEST_ACCEPTANCE_SECONDS
}

/** Gives the attempt the sid. From then on it is an attempt that Twilio accepted. */
export function decideAdopt(
  message: Message,
  event: Extract<Event, { kind: 'adopt' }>,
  context: Context,
): Decision {
  const entry = entryInDoubt(message, event, context.now)
  if ('why' in entry) return entry
  const why = whyNotThis(message, entry, event, context.now)
  if (why !== null) return { kind: 'ignore', why }
  const { sid, status, errorCode, errorText, billing } = event
  return applyReport(
    message,
    entry,
    { sid, status, errorCode, errorText, ...(billing && { billing }) },
    context,
  )
}

/** Makes the same attempt again. */
export function decideNotSent(
  message: Message,
  event: Extract<Event, { kind: 'not_sent' }>,
  context: Context,
): Decision {
  const entry = entryInDoubt(message, event, context.now)
  if ('why' in entry) return entry
  const reason = `Twilio does not have the message, says ${event.by}`
  return repeatAttempt(message, entry, context.now, reason, context)
}

/** The attempt that the person saw, if it is still in doubt. */
function entryInDoubt(
  message: Message,
  { attempt, claimedAt }: Extract<Event, { kind: 'adopt' | 'not_sent' }>,
  now: Date,
): Attempt | Extract<Decision, { kind: 'ignore' }> {
  const entry = message.attempts.find(({ number }) => number === attempt)
  const isInDoubt = entry?.status === 'submitting' && message.status === 'submitting'
  if (!isInDoubt || !isLatestClaim(message, entry, claimedAt))
    return { kind: 'ignore', why: 'it is no longer in doubt' }
  if (mayBeUnderWay(claimedAt, now))
    return {
      kind: 'ignore',
      why: `its request may still be under way, until ${LATEST_ACCEPTANCE_SECONDS} s after its claim`,
    }
  return entry
}

/** Twilio's times are in whole seconds, and its answer takes a while. */
const TOLERANCE_SECONDS = 30

/** Why the message at Twilio cannot be this attempt; null if it can be. */
function whyNotThis(
  message: Message,
  entry: Attempt,
  { sid, found }: Extract<Event, { kind: 'adopt' }>,
  now: Date,
): string | null {
  const other = message.attempts.find((attempt) => attempt.sid === sid)
  if (other !== undefined) return `attempt ${other.number} of this message has this sid`
  if (entry.account !== null && found.account !== null && found.account !== entry.account)
    return 'the message with this sid belongs to another Twilio account than the attempt'
  if (found.to !== null && !isSameAddress(found.to, message.to))
    return 'the message with this sid went to another number'
  if (found.isInbound) return 'the message with this sid is an inbound one'
  if (message.body !== null && compareTexts(message.body, found.body) === 'other')
    return 'the message with this sid has another text'
  return found.ageSeconds === null ? null : whyNotThen(message, entry, found.ageSeconds, now)
}

/** The message was created between the claim and the latest acceptance of the request, or it is another one. */
function whyNotThen(message: Message, entry: Attempt, ageSeconds: number, now: Date): string | null {
  const afterClaim = secondsBetween(claimOf(message, entry), now) - ageSeconds
  if (afterClaim < -TOLERANCE_SECONDS) return 'the message with this sid was created before the attempt'
  // Without a recorded claim, `claimOf` is the creation of the row, and the app may have sent it much later.
  const isLater =
    entry.times.submitting !== undefined && afterClaim > LATEST_ACCEPTANCE_SECONDS + TOLERANCE_SECONDS
  return isLater ? 'the message with this sid was created after the attempt' : null
}
