// The result of `decide`, and what it takes besides a message and an event.
import type { Message } from './message.ts'
import type { RetryPolicy } from './retry-policy.ts'

export interface Context {
  readonly policy: RetryPolicy
  /** The database's clock. */
  readonly now: Date
  /** In [0, 1), for the jitter. */
  readonly random: number
}

/** Identifies a message's job: one per attempt, and a new one each time the attempt is postponed. */
export interface JobRef {
  readonly attempt: number
  readonly postponements: number
}

export type Decision =
  /** Nothing changes. `why` is a clause for people, such as "it is already delivered". */
  | { readonly kind: 'ignore'; readonly why: string }
  /** The row changes, and no job. */
  | { readonly kind: 'record'; readonly message: Message }
  /** The attempt is claimed: its request may be made after the commit. */
  | { readonly kind: 'submit'; readonly message: Message; readonly submission: Submission }
  /** The row changes, and a job is added that runs at `at`. */
  | {
      readonly kind: 'schedule'
      readonly message: Message
      readonly job: JobRef
      readonly at: Date
      /** A job to remove. */
      readonly replaces: JobRef | null
    }
  /** The row changes, and the job of the attempt that waited is removed. */
  | { readonly kind: 'unschedule'; readonly message: Message; readonly job: JobRef }
  /** The attempt may be looked up at Twilio after the commit. */
  | { readonly kind: 'inquire'; readonly message: Message; readonly inquiry: Inquiry }

/** A message to hand to Twilio. */
export interface Submission {
  readonly messageId: number
  readonly key: string | null
  readonly attempt: number
  readonly claimedAt: Date
  readonly to: string
  readonly body: string
  /** Seconds until the deadline, after which Twilio must not deliver. Null without a deadline. */
  readonly validitySeconds: number | null
}

/** An attempt to look up at Twilio. */
export interface Inquiry {
  readonly messageId: number
  readonly key: string | null
  readonly attempt: number
  /** Null for an attempt in doubt, which is searched for in Twilio's message list. */
  readonly sid: string | null
  readonly to: string
  readonly claimedAt: Date
}
