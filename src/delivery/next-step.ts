// What happens next to a message, in words for a person.
import { type AccountState, blockOf } from './account-state.ts'
import type { Message } from './message.ts'
import { IN_DOUBT_AFTER_SECONDS, isSetAside } from './reconcile-time.ts'
import { claimOf, latestAttempt } from './transitions.ts'
import { secondsBetween } from './seconds.ts'

export interface NextStep {
  readonly what: string
  /** When, if that is known and in the future. */
  readonly at: Date | null
}

/** True if the latest attempt was claimed longer ago than its request can take, and its outcome is not known. */
export function isInDoubt(message: Message, now: Date): boolean {
  const made = latestAttempt(message)
  const claimedAt = made === undefined ? message.createdAt : claimOf(message, made)
  return message.status === 'submitting' && secondsBetween(claimedAt, now) > IN_DOUBT_AFTER_SECONDS
}

const SET_ASIDE = 'Set aside: it had waited for days before sms-retry first saw it. Retry or cancel it'

export function nextStepOf(message: Message, account: AccountState, now: Date): NextStep {
  const { status, nextRetryAt, retryCount, reconcileAt } = message
  const lookup = reconcileAt instanceof Date ? reconcileAt : null
  switch (status) {
    case 'pending':
    case 'retrying': {
      if (isSetAside(message)) return { what: SET_ASIDE, at: null }
      const attempt = retryCount === 0 ? 'The first attempt' : `Retry ${retryCount}`
      const block = blockOf(account, now)
      // An attempt that met the hold or pause is due again at `until`. It waits then, too, if the account still fails.
      if (block !== null && (nextRetryAt === null || nextRetryAt <= block.until))
        return { what: `${attempt} waits. ${block.reason}`, at: null }
      return nextRetryAt !== null && nextRetryAt > now
        ? { what: `${attempt} is due`, at: nextRetryAt }
        : { what: `${attempt} is due: a worker makes it as soon as it can`, at: null }
    }
    case 'submitting':
      if (!isInDoubt(message, now)) return { what: "Its request is waiting for Twilio's answer", at: null }
      return reconcileAt === 'never'
        ? { what: 'It is not sent again. Only a status callback can tell its outcome', at: null }
        : {
            what: 'It is not sent again until its outcome is known. sms-retry looks it up at Twilio',
            at: lookup,
          }
    case 'accepted':
    case 'scheduled':
    case 'queued':
    case 'sending':
    case 'sent':
      return reconcileAt === 'never'
        ? { what: 'Twilio has it. Only a status callback can change its status', at: null }
        : {
            what: 'Twilio has it and reports by status callback. If none comes, sms-retry looks it up',
            at: lookup,
          }
    case 'delivered':
    case 'read':
      return { what: 'Nothing: it was delivered', at: null }
    case 'undelivered':
    case 'failed':
      return { what: 'Nothing: it failed for good, unless you retry it', at: null }
    case 'expired':
      return { what: 'Nothing: its deadline has passed', at: null }
    case 'canceled':
      return { what: 'Nothing: it was canceled', at: null }
    case 'unknown':
      return { what: 'Nothing: sms-retry did not send it, and only records its status callbacks', at: null }
  }
}
