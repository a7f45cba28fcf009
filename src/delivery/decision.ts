// What a decision is made from besides message and event, and what it can be.
import type { Message } from './message.ts'
import type { RetryPolicy } from './retry-policy.ts'

export interface Context {
  readonly policy: RetryPolicy
  /** The database's clock. */
  readonly now: Date
  /** In [0, 1), for the jitter. */
  readonly random: number
}

/** Which alarm clock: one per (message, attempt), and a new one each time that the attempt is put off. */
export interface JobKey {
  readonly attempt: number
  readonly postponements: number
}

export type Decision =
  /** Nothing changes. */
  | { readonly kind: 'ignore'; readonly why: string }
  /** The row changes, and no job. */
  | { readonly kind: 'record'; readonly message: Message }
  /** The attempt is claimed: once the row is committed, its request may be made. */
  | { readonly kind: 'submit'; readonly message: Message; readonly submission: Submission }
  /** The row changes and a job is to ring at `at`. */
  | {
      readonly kind: 'schedule'
      readonly message: Message
      readonly job: JobKey
      readonly at: Date
      /** An alarm that is not wanted any more. */
      readonly replaces: JobKey | null
    }
  /** The row changes and the job of the attempt that waited is not wanted any more. */
  | { readonly kind: 'unschedule'; readonly message: Message; readonly job: JobKey }
  /** Once the row is committed, Twilio may be asked what became of the attempt. */
  | { readonly kind: 'inquire'; readonly message: Message; readonly inquiry: Inquiry }

/** What is to be handed to Twilio. */
export interface Submission {
  readonly messageId: number
  readonly key: string | null
  readonly attempt: number
  readonly claimedAt: Date
  readonly to: string
  readonly body: string
  /** Seconds until the deadline; Twilio is not to deliver later. Null without a deadline. */
  readonly validitySeconds: number | null
}

/** What Twilio is to be asked. */
export interface Inquiry {
  readonly messageId: number
  readonly key: string | null
  readonly attempt: number
  /** Null for an attempt in doubt, which is looked for in Twilio's message list. */
  readonly sid: string | null
  readonly to: string
  readonly claimedAt: Date
}
