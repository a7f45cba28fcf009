// The result of `decide`, and what it takes besides a message and an event.
import type { AccountState } from './account-state.ts'
import type { Message } from './message.ts'
import type { RetryPolicy } from './retry-policy.ts'
import type { SendWindow } from './send-window.ts'

/** The part of the configuration that the gate needs. */
export interface Circumstances {
  /** The send window of messages without their own. Null for none: they are sent at any time. */
  readonly sendWindow: SendWindow | null
  /** All time zones that the holder of a number can be in, by their IANA names. Empty if they are not known. */
  readonly zonesOf: (to: string) => readonly string[]
  /** False for a recipient that the allow-list does not have. */
  readonly isAllowed: (to: string) => boolean
}

export interface Context {
  readonly policy: RetryPolicy
  readonly circumstances: Circumstances
  readonly account: AccountState
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
  /** Seconds after which Twilio must not deliver: until the deadline, or until its send window closes. Null for no limit. */
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
