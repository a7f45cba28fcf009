// The decision as the peers make it: the short form of a retry policy, enough for the benchmark's callbacks. (The
// product's own also knows order, repetition, doubt and deadlines.)
import type { Callback } from './endpoint.ts'

export interface RetryRow {
  readonly retryCount: number
  readonly maxRetries: number
}

const RETRIES: ReadonlyMap<number | null, { readonly most: number; readonly baseSeconds: number }> = new Map([
  [30001, { most: 3, baseSeconds: 60 }],
  [30002, { most: 3, baseSeconds: 120 }],
  [30003, { most: 2, baseSeconds: 300 }],
  [30004, { most: 2, baseSeconds: 180 }],
])
const OTHERWISE = { most: 2, baseSeconds: 120 }
const MAX_JITTER = 0.1

export function isFailure({ status }: Callback): boolean {
  return status === 'undelivered' || status === 'failed'
}

/** When the message is tried again; null if it is not. */
export function nextRetryAt(callback: Callback, row: RetryRow): Date | null {
  const { most, baseSeconds } = RETRIES.get(callback.errorCode) ?? OTHERWISE
  if (!isFailure(callback) || row.retryCount >= Math.min(most, row.maxRetries)) return null
  const seconds = baseSeconds * 2 ** row.retryCount * (1 + Math.random() * MAX_JITTER)
  return new Date(Date.now() + seconds * 1000)
}

/** `$1` is the message, `$2` to `$9` are the values of changeOf. The columns are those that the product writes. */
export const UPDATE = `
  update sms_usage_logs
     set final_status = $2::text, success = $3, retry_count = $4, next_retry_at = $5, error_message = $6,
         sms_metadata = jsonb_set(
           jsonb_set(
             (coalesce(sms_metadata, '{}') - '{retry_reason,retry_error,retry_strategy,reconcile_at}'::text[])
               || jsonb_strip_nulls($7::jsonb),
             array['attempts', $8], coalesce(sms_metadata #> array['attempts', $8], '{}') || $9::jsonb),
           array['attempts', $8, 'times'],
           coalesce(sms_metadata #> array['attempts', $8, 'times'], '{}')
             || jsonb_build_object($2::text, to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')))
   where id = $1`

export function changeOf(callback: Callback, row: RetryRow, retryAt: Date | null): unknown[] {
  const { attempt, status, errorCode, errorText } = callback
  const willRetry = retryAt !== null
  const metadata = {
    retry_reason: errorCode,
    retry_error: errorText,
    retry_strategy: willRetry ? 'exponential_backoff' : null,
    reconcile_at: willRetry ? new Date(retryAt.getTime() + 30_000) : null,
  }
  const entry = errorCode === null ? { status } : { status, error_code: errorCode, error_text: errorText }
  return [
    willRetry ? 'retrying' : status,
    !isFailure(callback),
    willRetry ? row.retryCount + 1 : row.retryCount,
    retryAt,
    errorText,
    JSON.stringify(metadata),
    `${attempt}`,
    JSON.stringify(entry),
  ]
}
