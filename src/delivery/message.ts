// The values that decisions are made from: a message with its attempts, and the events that can happen to it.
import type { Billing } from './billing.ts'
import type { SendWindow } from './send-window.ts'
import type { AttemptStatus, DeliveryStatus, TwilioStatus } from './status.ts'

/** One try to hand a message to Twilio. Number 0 is the first send, n the n-th retry. */
export interface Attempt extends Billing {
  readonly number: number
  readonly status: AttemptStatus
  /** Twilio's id, once it is known. */
  readonly sid: string | null
  /** Twilio's error code, if the attempt failed and Twilio gave one. */
  readonly errorCode: number | null
  /** Twilio's own description of the failure. May contain the recipient's number: not for logs. */
  readonly errorText: string | null
  /** How often the attempt was postponed, such as when Twilio did not process its request. */
  readonly postponements: number
  /** True if the attempt failed and does not count as a retry. */
  readonly excused: boolean
  /**
   * The account and the sender (a number or a Messaging Service) of the claim; null if the row does not record them.
   */
  readonly account: string | null
  readonly sender: string | null
  /** When each status was first seen, ISO 8601, by the database's clock. */
  readonly times: Readonly<Partial<Record<AttemptStatus, string>>>
}

/**
 * When a message is next reconciled. `never`: Twilio has not reported for days, and only a status callback can still
 * change the message. `set_aside`: the message waited for days before sms-retry first read its row, so its attempt is
 * made only if a person asks for it.
 */
export type ReconcileAt = Date | 'never' | 'set_aside'

/** The part of a `sms_usage_logs` row that decisions need. */
export interface Message {
  readonly id: number
  /**
   * A random key that is written with the row, because ids can repeat. Null in rows of the app and of older versions.
   */
  readonly key: string | null
  readonly to: string
  /** Null if the app wrote the row without the text, or if the text was deleted: the message cannot be sent again. */
  readonly body: string | null
  readonly status: DeliveryStatus
  readonly success: boolean
  /** The number of the latest attempt made or scheduled. */
  readonly retryCount: number
  readonly maxRetries: number
  /** When the waiting attempt is due. Null if it is due now, or if none waits. */
  readonly nextRetryAt: Date | null
  /** The latest sid. */
  readonly sid: string | null
  /** Never submitted at or after this time. */
  readonly deadline: Date | null
  /** Never submitted before this time. */
  readonly sendAfter: Date | null
  /** The hours of the day in which it may be sent: `any` for all, null for those of the configuration. */
  readonly sendWindow: SendWindow | 'any' | null
  /** The recipient's time zone, by its IANA name. Null to derive it from the number. */
  readonly timeZone: string | null
  /** Ordered by number. Attempts that were made before sms-retry read the row may be missing. */
  readonly attempts: readonly Attempt[]
  /** Why the message has its status, for a person; null while nothing is wrong. */
  readonly reason: string | null
  /** How long the last request to Twilio took. */
  readonly processingTimeMs: number | null
  readonly createdAt: Date
  /** Null if the message is final, or was never reconciled. */
  readonly reconcileAt: ReconcileAt | null
}

/** An entry of Twilio's message list for one recipient. */
export interface ListedMessage {
  readonly sid: string
  /** Empty if the account redacts texts. */
  readonly body: string
  readonly status: TwilioStatus
  readonly errorCode: number | null
  readonly errorText: string | null
  readonly billing?: Billing
  /** By the database's clock. */
  readonly createdAt: Date
}

/** A message at Twilio whose sid a person gave. Null for a fact that Twilio did not state. */
export interface NamedMessage {
  readonly account: string | null
  /** A message to a number of the account has two sids: one as sent, and one as received. */
  readonly isInbound: boolean
  readonly to: string | null
  /** Empty if the account redacts texts. */
  readonly body: string
  /** The seconds from its creation to Twilio's answer, by Twilio's clock. */
  readonly ageSeconds: number | null
}

/** The result of one request to Twilio's API. */
export type Answer =
  /** 2xx with a sid: Twilio has the message. */
  | {
      readonly outcome: 'accepted'
      readonly sid: string
      readonly status: TwilioStatus
      readonly errorCode: number | null
      readonly errorText: string | null
      readonly billing?: Billing
    }
  /** Twilio refused the message: it was not sent. */
  | { readonly outcome: 'rejected'; readonly errorCode: number | null; readonly errorText: string }
  /** Twilio did not process the request: it is safe to submit the message again. */
  | { readonly outcome: 'not_processed'; readonly reason: string; readonly retryAfterSeconds: number | null }
  /** Twilio may or may not have the message: it must not be submitted again before that is known. */
  | { readonly outcome: 'unknown'; readonly reason: string }

/** The account and the sender of a request. */
export interface Identity {
  readonly account: string
  /** A number, a short code or a sender ID; otherwise the sid of a Messaging Service. */
  readonly sender: string
}

/** What can happen to a message. */
export type Event =
  /** The job of an attempt runs. */
  | {
      readonly kind: 'due'
      readonly attempt: number
      readonly identity?: Identity
      /** The number of the probe that this attempt makes while the account is on hold. */
      readonly probe?: number
    }
  | {
      readonly kind: 'answer'
      readonly attempt: number
      /** The claim of the attempt that the request belongs to. */
      readonly claimedAt: Date
      readonly answer: Answer
      readonly processingTimeMs: number
    }
  /**
   * Twilio's status of an attempt: `report` from a status callback, `fetched` from the API. A fetched status is recorded
   * even if it is not new, so that the next lookup is scheduled.
   */
  | {
      readonly kind: 'report' | 'fetched'
      /** From the callback's URL. Null if the app chose the URL: then the sid identifies the attempt. */
      readonly attempt: number | null
      readonly sid: string
      readonly status: TwilioStatus
      readonly errorCode: number | null
      readonly errorText: string | null
      /** Only the API states it. */
      readonly billing?: Billing
    }
  /** A person asks for a retry now. */
  | {
      readonly kind: 'retry'
      /** The state of the message that the person saw on the page; null to retry in any state. */
      readonly seen: { readonly status: DeliveryStatus; readonly retryCount: number } | null
      /** Whether to retry even if the policy never retries the error code. */
      readonly force: boolean
      /** Retries only a message whose attempts have not changed since this time. */
      readonly unchangedSince?: Date
      /** The earliest time of the attempt; now if it is left out. With a deadline, the attempt may be earlier. */
      readonly notBefore?: Date
      /** Who asks for it. Becomes part of the message's reason. */
      readonly by?: string
    }
  /** A person or the app cancels the message. */
  | {
      readonly kind: 'cancel'
      /** Who cancels it. Becomes part of the message's reason. */
      readonly by?: string
      /** Replaces the reason that names the person. */
      readonly reason?: string
    }
  /** A person names the message at Twilio that an attempt in doubt became. */
  | {
      readonly kind: 'adopt'
      readonly attempt: number
      /** The claim of the attempt that the person saw. */
      readonly claimedAt: Date
      /** Twilio's message with this sid. */
      readonly found: NamedMessage
      readonly sid: string
      readonly status: TwilioStatus
      readonly errorCode: number | null
      readonly errorText: string | null
      readonly billing?: Billing
    }
  /** A person states that Twilio does not have an attempt in doubt. */
  | {
      readonly kind: 'not_sent'
      readonly attempt: number
      /** The claim of the attempt that the person saw. */
      readonly claimedAt: Date
      readonly by: string
    }
  /** The message is due to be reconciled. */
  | {
      readonly kind: 'reconcile'
      /** Whether the job of the waiting attempt exists and is due. */
      readonly isJobScheduled: boolean
      /** The account that this process can query. */
      readonly account?: string
    }
  /** Twilio answered a lookup of the message's sid with "not found". */
  | { readonly kind: 'missing' }
  /** Twilio's message list was searched for an attempt in doubt. */
  | {
      readonly kind: 'listed'
      readonly attempt: number
      /** The claim of the attempt that was searched for. */
      readonly claimedAt: Date
      readonly entries: readonly ListedMessage[]
      /** True if Twilio stores the number in another form: its messages are then missing from this list. */
      readonly isRewritten?: boolean
      /** The maximum error of `createdAt` in the entries. */
      readonly toleranceSeconds: number
      /** False if the list was too long to be read back to the time of the claim. */
      readonly isComplete: boolean
      /** Other messages that an entry may belong to. */
      readonly others: readonly Message[]
    }
