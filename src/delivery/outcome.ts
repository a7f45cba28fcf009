// What a message came to, for the app to learn. An outcome is decided when a message becomes final, and again when its
// final status is corrected.
import type { Message } from './message.ts'
import { type DeliveryStatus, type FinalStatus, isDelivered, isFinal } from './status.ts'

export const OUTCOME_TYPES = [
  'message.delivered',
  'message.failed',
  'message.expired',
  'message.canceled',
  'message.corrected',
] as const

export type OutcomeType = (typeof OUTCOME_TYPES)[number]

/** The state that an outcome was decided on. Identifies the outcome of a message. */
export interface FinalState {
  readonly messageId: number
  readonly key: string | null
  readonly status: FinalStatus
  /** Twilio's code of the latest failure; null for a delivered message. */
  readonly errorCode: number | null
  readonly retryCount: number
}

/** An outcome as it was decided. */
export interface DecidedOutcome extends FinalState {
  readonly type: OutcomeType
  readonly previousStatus: DeliveryStatus
  /** May contain the recipient's number. */
  readonly reason: string | null
  readonly to: string
  readonly sid: string | null
  /** The database's clock. */
  readonly at: Date
  /** The outcome that this one corrects. */
  readonly corrects: FinalState | null
}

/** Null if the change from `before` to `after` decides no outcome. */
export function outcomeOf(before: Message, after: Message, at: Date): DecidedOutcome | null {
  const state = finalStateOf(after)
  if (state === null) return null
  const corrects = finalStateOf(before)
  if (corrects?.status === state.status && corrects.errorCode === state.errorCode) return null
  return {
    ...state,
    type: corrects === null ? TYPES[state.status] : 'message.corrected',
    previousStatus: before.status,
    reason: after.reason,
    to: after.to,
    sid: after.sid,
    at,
    corrects,
  }
}

/** The outcome of a message that is final when it is recorded. */
export function outcomeOfNew(
  message: Pick<DecidedOutcome, 'messageId' | 'key' | 'to' | 'status' | 'reason' | 'at'>,
): DecidedOutcome {
  const { messageId, key, to, status, reason, at } = message
  const none = { errorCode: null, retryCount: 0, sid: null, corrects: null }
  return { messageId, key, to, status, reason, at, ...none, type: TYPES[status], previousStatus: 'pending' }
}

const TYPES: Record<FinalStatus, OutcomeType> = {
  delivered: 'message.delivered',
  read: 'message.delivered',
  undelivered: 'message.failed',
  failed: 'message.failed',
  canceled: 'message.canceled',
  expired: 'message.expired',
}

function finalStateOf(message: Message): FinalState | null {
  const { id: messageId, key, status, retryCount } = message
  if (!isFinal(status)) return null
  return { messageId, key, status, errorCode: isDelivered(status) ? null : latestCode(message), retryCount }
}

/** Twilio's code of the latest failure, also if a later attempt failed without one. */
export function latestCode({ attempts }: Pick<Message, 'attempts'>): number | null {
  return attempts.findLast(({ errorCode }) => errorCode !== null)?.errorCode ?? null
}

/** True for the final statuses that sms-retry decides itself. The others are what Twilio reported. */
export function isOurWord(status: FinalStatus): boolean {
  return status === 'canceled' || status === 'expired'
}
