// Makes an attempt again whose request certainly did not reach Twilio. It keeps its number, and uses up no retry.
import { replaceEntry } from './attempts.ts'
import type { Context, Decision } from './decision.ts'
import { gate } from './gate.ts'
import type { Attempt, Message } from './message.ts'
import { finish, postpone, record } from './transitions.ts'

/**
 * Schedules the same attempt again, at `earliest` or later. It was claimed, but Twilio certainly does not have it.
 */
export function repeatAttempt(
  message: Message,
  entry: Attempt,
  earliest: Date,
  reason: string,
  context: Context,
): Decision {
  const passage = gate(message, earliest, context)
  if (passage.kind === 'now') return postpone(message, entry, earliest, reason)
  const reasons = `${reason}. ${passage.reason}`
  if (passage.kind === 'at') return postpone(message, entry, passage.at, reasons)
  return record(finish(withPendingAttempt(message, entry), passage.status, reasons))
}

export function withPendingAttempt(message: Message, entry: Attempt): Message {
  return { ...message, attempts: replaceEntry(message.attempts, { ...entry, status: 'pending' }) }
}
