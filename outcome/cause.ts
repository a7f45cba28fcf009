// A cause of failures: the share of messages that meet it, what Twilio reports for them, and when it ends.
import type { Recovery } from './recovery.ts'

/**
 * How the failure shows: `refusal`, Twilio refuses the request; `report`, a status callback; `not_processed`, a 429;
 * `no_answer`, a 5xx or a time-out, after which Twilio does not have the message.
 */
export type FailureKind = 'refusal' | 'report' | 'not_processed' | 'no_answer'

export interface Cause {
  readonly id: string
  /** Of all messages. */
  readonly share: number
  /** What Twilio reports; null for a failure without a code. The shares sum to 1. */
  readonly codes: readonly { readonly code: number | null; readonly share: number }[]
  readonly failsBy: FailureKind
  /** How long after its first failure a message can be delivered. */
  readonly recovery: Recovery
  /** True for a cause that ends at the same time for many messages. */
  readonly isOutage?: boolean
  /** Of its messages, the share whose first attempt still arrives after it was reported as failed. */
  readonly lateCopyShare?: number
}
