// What an event of a message says about the Twilio account. account-state.ts decides what follows.
import type { AccountSignal } from './account-state.ts'
import type { Attempt, Message } from './message.ts'
import { isAccountFailure, type RetryPolicy, ruleFor } from './retry-policy.ts'
import { type AttemptStatus, isFailedAttempt } from './status.ts'
import { claimOf } from './transitions.ts'

/** Compares the attempts before and after an event. Null if they say nothing about the account. */
export function accountSignal(before: Message, after: Message, policy: RetryPolicy): AccountSignal | null {
  for (const attempt of after.attempts) {
    const earlier = before.attempts.find(({ number }) => number === attempt.number)
    if (earlier?.status === attempt.status && earlier.errorCode === attempt.errorCode) continue
    const kind = signalKind(attempt, policy)
    if (kind === null) continue
    const { errorCode, sid } = attempt
    return { kind, errorCode, wasAccepted: sid !== null, claimedAt: claimOf(after, attempt) }
  }
  return null
}

const SENT: ReadonlySet<AttemptStatus> = new Set(['sent', 'delivered', 'read', 'undelivered'])
const ACCEPTED: ReadonlySet<AttemptStatus> = new Set(['accepted', 'scheduled', 'queued', 'sending'])

function signalKind({ status, errorCode, sid }: Attempt, policy: RetryPolicy): AccountSignal['kind'] | null {
  if (isFailedAttempt(status) && isAccountFailure(ruleFor(policy, errorCode))) return 'failed'
  // A carrier that does not deliver a message got it from a working account.
  if (SENT.has(status)) return 'sent'
  return ACCEPTED.has(status) || (status === 'failed' && sid !== null) ? 'accepted' : null
}
