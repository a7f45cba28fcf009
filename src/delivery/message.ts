// The shapes that decisions are made from: a message with its attempts, and what can happen to it.
import type { AttemptStatus, DeliveryStatus, TwilioStatus } from './status.ts'

/** One try to hand a message to Twilio. Number 0 is the first send, n the n-th retry. */
export interface Attempt {
  readonly number: number
  readonly status: AttemptStatus
  /** Twilio's id, once it is known. */
  readonly sid: string | null
  /** Twilio's error code, if the attempt failed and Twilio gave one. */
  readonly errorCode: number | null
  /** Twilio's own words on the failure. May contain the recipient's number: not for logs. */
  readonly errorText: string | null
  /** How often Twilio did not process the request and the same attempt was put off. */
  readonly postponements: number
  /** The account that it was claimed for, and the sending number or Messaging Service; null if the row does not say. */
  readonly account: string | null
  readonly sender: string | null
  /** When each status was first seen, ISO 8601, by the database's clock. */
  readonly times: Readonly<Partial<Record<AttemptStatus, string>>>
}

/** One row of `sms_usage_logs`, as far as decisions need it. */
export interface Message {
  readonly id: number
  /** Random, made when the row was written: what the id cannot prove. Null in rows of others and of older versions. */
  readonly key: string | null
  readonly to: string
  /** Null in rows that others wrote without the text: such a message cannot be sent again. */
  readonly body: string | null
  readonly status: DeliveryStatus
  readonly success: boolean
  /** The number of the latest attempt made or scheduled. */
  readonly retryCount: number
  readonly maxRetries: number
  /** When the latest attempt is due, while it waits for a worker. Null for one that is due at once. */
  readonly nextRetryAt: Date | null
  /** The latest sid. */
  readonly sid: string | null
  /** Never submitted at or after this time. */
  readonly deadline: Date | null
  /** In order of their numbers. May lack the attempts that were made before we knew the row. */
  readonly attempts: readonly Attempt[]
  /** Why the message is where it is, for a person; null while nothing is wrong. */
  readonly reason: string | null
  /** How long the last request to Twilio took. */
  readonly processingTimeMs: number | null
  readonly createdAt: Date
  /** When it is looked at if nothing happens until then. Null if it is final, or was never looked at. */
  readonly reconcileAt: Date | null
}

/** One message to the recipient in question, as Twilio's message list shows it. */
export interface ListedMessage {
  readonly sid: string
  /** Empty if the account has texts redacted. */
  readonly body: string
  readonly status: TwilioStatus
  readonly errorCode: number | null
  readonly errorText: string | null
  /** By the database's clock. */
  readonly createdAt: Date
}

/** What became of one request to Twilio's API. */
export type Answer =
  /** 2xx with a sid: Twilio has the message. */
  | {
      readonly outcome: 'accepted'
      readonly sid: string
      readonly status: TwilioStatus
      readonly errorCode: number | null
      readonly errorText: string | null
    }
  /** Twilio refused the message: it was not sent. */
  | { readonly outcome: 'rejected'; readonly errorCode: number | null; readonly errorText: string }
  /** Twilio did not look at the message: it is safe to submit it again. */
  | { readonly outcome: 'not_processed'; readonly reason: string; readonly retryAfterSeconds: number | null }
  /** Twilio may or may not have the message: it must not be submitted again before that is known. */
  | { readonly outcome: 'unknown'; readonly reason: string }

/** As whom requests are made. */
export interface Identity {
  readonly account: string
  /** A number, a short code or a name; otherwise a Messaging Service's sid. */
  readonly sender: string
}

/** What can happen to a message. */
export type Event =
  /** The alarm of an attempt rang. */
  | { readonly kind: 'due'; readonly attempt: number; readonly identity?: Identity }
  | {
      readonly kind: 'answer'
      readonly attempt: number
      /** Which claim of the attempt the request was made for. */
      readonly claimedAt: Date
      readonly answer: Answer
      readonly processingTimeMs: number
    }
  /**
   * Twilio's word on an attempt: in a status callback, or fetched. That is recorded even if it says nothing new, so that
   * the next question has time.
   */
  | {
      readonly kind: 'report' | 'fetched'
      /** From the callback's URL; null where the URL is not ours, then the sid tells. */
      readonly attempt: number | null
      readonly sid: string
      readonly status: TwilioStatus
      readonly errorCode: number | null
      readonly errorText: string | null
    }
  /** A person wants it tried again now. */
  | {
      readonly kind: 'retry'
      /** What the message was when this person saw it; null for whatever it is now. */
      readonly seen: { readonly status: DeliveryStatus; readonly retryCount: number } | null
      /** Even if the policy never retries the error code. */
      readonly force: boolean
    }
  /** A person wants it called off. */
  | { readonly kind: 'cancel' }
  /** The time to look at the message has come. */
  | {
      readonly kind: 'reconcile'
      /** Whether the alarm of the attempt that waits is about to ring. */
      readonly isJobScheduled: boolean
      /** The account that can be asked. */
      readonly account?: string
    }
  /** Asked for the message's sid, Twilio said that it has no such message. */
  | { readonly kind: 'missing' }
  /** An attempt in doubt was looked for in Twilio's message list. */
  | {
      readonly kind: 'listed'
      readonly attempt: number
      /** Which claim of the attempt was looked for. */
      readonly claimedAt: Date
      readonly entries: readonly ListedMessage[]
      /** True if Twilio keeps the number in another form: then its messages are not in this list. */
      readonly isRewritten?: boolean
      /** By how many seconds the entries' times may be wrong. */
      readonly toleranceSeconds: number
      /** False if the list was too long to be read back to the claim. */
      readonly isComplete: boolean
      /** Other messages to which an entry may belong. */
      readonly others: readonly Message[]
    }
