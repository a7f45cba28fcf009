// What will happen to a message next, and why, in words for a person.
import { IN_DOUBT_AFTER_SECONDS, isLeftAlone, isNever } from './reconcile-time.ts'
import type { Message } from './message.ts'
import { claimOf, latestAttempt, secondsBetween } from './transitions.ts'

export interface NextStep {
  readonly what: string
  /** When, if that is known and still to come. */
  readonly at: Date | null
}

/** True if it is not known whether Twilio has the latest attempt, after longer than its request can take. */
export function isInDoubt(message: Message, now: Date): boolean {
  const made = latestAttempt(message)
  const claimedAt = made === undefined ? message.createdAt : claimOf(message, made)
  return message.status === 'submitting' && secondsBetween(claimedAt, now) > IN_DOUBT_AFTER_SECONDS
}

const LEFT_ALONE = 'Nothing by itself: it had waited for days before sms-retry saw it. Retry or cancel it'

export function nextStepOf(message: Message, now: Date): NextStep {
  const { status, nextRetryAt, retryCount, reconcileAt } = message
  const look = reconcileAt === null || isNever(reconcileAt) ? null : reconcileAt
  switch (status) {
    case 'pending':
    case 'retrying': {
      if (isLeftAlone(message)) return { what: LEFT_ALONE, at: null }
      const attempt = retryCount === 0 ? 'The first attempt' : `Retry ${retryCount}`
      return nextRetryAt !== null && nextRetryAt > now
        ? { what: `${attempt} is due`, at: nextRetryAt }
        : { what: `${attempt} is due: a worker makes it as soon as it can`, at: null }
    }
    case 'submitting':
      return isInDoubt(message, now)
        ? {
            what: 'It is not sent again before it is known what became of it. Twilio is asked next',
            at: look,
          }
        : { what: "Its request is under way; Twilio's answer tells more", at: null }
    case 'accepted':
    case 'scheduled':
    case 'queued':
    case 'sending':
    case 'sent':
      return look === null
        ? { what: 'Twilio has it; only a status callback can tell more', at: null }
        : { what: 'Twilio has it; a status callback tells more. If none comes, Twilio is asked', at: look }
    case 'delivered':
    case 'read':
      return { what: 'Nothing: it got through', at: null }
    case 'undelivered':
    case 'failed':
      return { what: 'Nothing by itself: it is given up', at: null }
    case 'expired':
      return { what: 'Nothing: its deadline has passed', at: null }
    case 'canceled':
      return { what: 'Nothing: it was called off', at: null }
    case 'unknown':
      return { what: 'Nothing: somebody else sent it. Its status callbacks are recorded', at: null }
  }
}
