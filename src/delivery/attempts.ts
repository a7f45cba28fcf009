// The entries of a message's attempts, and how a report is merged into one. apply-report.ts derives the message's
// status from them.
import { type Billing, withBilling } from './billing.ts'
import type { Attempt, Message } from './message.ts'
import { type RetryPolicy, ruleFor } from './retry-policy.ts'
import { type AttemptStatus, isFailedAttempt, isTwilioStatus, outranks, type TwilioStatus } from './status.ts'

/** Twilio's status of one attempt, from an answer of its API or from a status callback. */
export interface Report {
  readonly sid: string | null
  readonly status: TwilioStatus
  readonly errorCode: number | null
  readonly errorText: string | null
  readonly billing?: Billing
}

export function newAttempt(number: number, status: AttemptStatus, at: Date | null): Attempt {
  return {
    number,
    status,
    sid: null,
    errorCode: null,
    errorText: null,
    postponements: 0,
    excused: false,
    account: null,
    sender: null,
    segments: null,
    price: null,
    times: at === null ? {} : { [status]: at.toISOString() },
  }
}

/**
 * The message's attempts. A row that the app wrote has no entries, so they are derived from its columns; it is then
 * retried like our own rows. A row that is `retrying` has failed before.
 */
export function entriesOf(message: Message): readonly Attempt[] {
  if (message.attempts.length > 0) return message.attempts
  const { status, retryCount, sid } = message
  if (status === 'retrying' && retryCount > 0) {
    const failed: Attempt = { ...newAttempt(retryCount - 1, 'failed', null), sid }
    return [failed, newAttempt(retryCount, 'pending', null)]
  }
  if (status === 'submitting') return [newAttempt(retryCount, status, null)]
  if (status === 'pending' || status === 'retrying') return [newAttempt(retryCount, 'pending', null)]
  // If there is a sid, Twilio has at least accepted the message.
  return [{ ...newAttempt(retryCount, isTwilioStatus(status) ? status : 'accepted', null), sid }]
}

export function replaceEntry(attempts: readonly Attempt[], entry: Attempt): readonly Attempt[] {
  return attempts.map((attempt) => (attempt.number === entry.number ? entry : attempt))
}

/**
 * The entry with the report merged into it; the same object if the report is not new. Except for the recorded times, the
 * result does not depend on the order of the reports.
 */
export function merge(
  entry: Attempt,
  report: Report,
  { policy, now }: { policy: RetryPolicy; now: Date },
): Attempt {
  const isBetter =
    isFailedAttempt(entry.status) && isFailedAttempt(report.status)
      ? isWorseFailure(report, entry, policy)
      : outranks(report.status, entry.status)
  const outcome = isBetter ? { ...entry, status: report.status, ...failureOf(report) } : entry
  const withSid = outcome.sid === null && report.sid !== null ? { ...outcome, sid: report.sid } : outcome
  return withTime(withBilling(withSid, report.billing), report.status, now)
}

/** The code and text of a failed attempt. If Twilio sends them with another status, they are dropped. */
function failureOf(report: Report): Pick<Attempt, 'errorCode' | 'errorText'> {
  if (!isFailedAttempt(report.status)) return { errorCode: null, errorText: null }
  return { errorCode: report.errorCode, errorText: report.errorText }
}

/**
 * Chooses between two different failures of one attempt, which Twilio has not been seen to report. A code that the
 * policy never retries wins; then the higher status; then the higher code.
 */
function isWorseFailure(one: Report, other: Attempt, policy: RetryPolicy): boolean {
  const stops = [one, other].map(({ errorCode }) => ruleFor(policy, errorCode).action === 'stop')
  if (stops[0] !== stops[1]) return stops[0] === true
  if (one.status !== other.status) return outranks(one.status, other.status)
  return (one.errorCode ?? 0) > (other.errorCode ?? 0)
}

/** The entry with the time at which it first had the status; the same object if that time is recorded already. */
export function withTime(entry: Attempt, status: AttemptStatus, at: Date): Attempt {
  if (entry.times[status] !== undefined) return entry
  return { ...entry, times: { ...entry.times, [status]: at.toISOString() } }
}

/** The entry without its claim, if the request was certainly not made. */
export function releaseClaim(entry: Attempt, at: Date): Attempt {
  const { submitting: _, ...times } = entry.times
  return withTime({ ...entry, times }, 'pending', at)
}

/**
 * The message without its scheduled attempt. The first attempt always stays. An attempt that was claimed and declared
 * lost stays too: Twilio may still report on it.
 */
export function dropPending(message: Message): Message {
  const waiting = message.attempts.findLast(
    ({ status, number, times }) => status === 'pending' && number > 0 && times.submitting === undefined,
  )
  if (waiting === undefined) return message
  const attempts = message.attempts.filter((attempt) => attempt !== waiting)
  return { ...message, attempts, retryCount: attempts.at(-1)?.number ?? 0 }
}
