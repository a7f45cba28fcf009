// What the app is told about a message.
import type { OutcomeRow } from '../db/outcome-rows.ts'
import type { OutcomeType } from '../delivery/outcome.ts'
import type { DeliveryStatus, FinalStatus } from '../delivery/status.ts'
import type { OutcomeJob } from '../jobs/outcome-job.ts'

/**
 * What a message came to. `status`, `previousStatus`, `errorCode`, `reason`, `retryCount` and `sid` are those of the
 * decision, even if the message has changed since then. `userId`, `idempotencyKey` and `metadata` are read from the row
 * when the outcome is delivered; they are null, null and empty if the row has been deleted.
 */
export interface Outcome {
  /** A UUID. The same outcome has the same id in every delivery, so it can be an idempotency key. */
  readonly id: string
  /** `message.corrected` if an earlier outcome of this message, or its error code, turned out to be wrong. */
  readonly type: OutcomeType
  /** The row's id. */
  readonly messageId: number
  readonly idempotencyKey: string | null
  readonly userId: number | string | null
  /** The metadata that the app gave the message. */
  readonly metadata: Readonly<Record<string, unknown>>
  readonly status: FinalStatus
  /** The status before this outcome. */
  readonly previousStatus: DeliveryStatus
  /** Twilio's code of the latest failure; null for a delivered message. */
  readonly errorCode: number | null
  /** Why the message has this status, for a person. Phone numbers are masked. */
  readonly reason: string | null
  /** The number of retries until this outcome. */
  readonly retryCount: number
  /** Twilio's id of the latest attempt that it accepted. */
  readonly sid: string | null
  /** When it was decided: ISO 8601, by the database's clock. */
  readonly at: string
}

/** @param row of the message; left out if it has been deleted */
export function toOutcome(job: OutcomeJob, row: OutcomeRow | undefined): Outcome {
  return {
    id: job.id,
    type: job.type,
    messageId: job.message,
    idempotencyKey: row?.idempotencyKey ?? null,
    userId: row?.userId ?? null,
    metadata: row?.metadata ?? {},
    status: job.status,
    previousStatus: job.previousStatus,
    errorCode: job.errorCode,
    reason: job.reason,
    retryCount: job.retryCount,
    sid: job.sid,
    at: job.at,
  }
}
