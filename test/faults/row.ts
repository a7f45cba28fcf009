// A message's row, as the checks read it.

export const FINAL = ['delivered', 'read', 'undelivered', 'failed', 'canceled', 'expired']

export interface Row {
  readonly id: number
  /** Null in rows of versions that made none. */
  readonly key: string | null
  readonly phone_number: string
  readonly message_content: string
  readonly final_status: string
  readonly success: boolean
  readonly retry_count: number
  readonly max_retries: number
  readonly next_retry_at: Date | null
  readonly error_message: string | null
  readonly reconcile_at: string | null
  readonly deadline: string | null
  readonly send_after: string | null
  /** `08:00-21:00`, in UTC. */
  readonly send_window: string | null
  readonly attempts: readonly {
    readonly number: number
    readonly status: string
    readonly sid?: string
    readonly error_code?: number
    readonly excused?: true
    readonly times: Readonly<Record<string, string>>
  }[]
}

export const ROW_COLUMNS = `
  id, phone_number, message_content, final_status, success, retry_count, max_retries, next_retry_at, error_message,
  sms_metadata ->> 'callback_key' as "key", sms_metadata ->> 'reconcile_at' as "reconcile_at",
  sms_metadata ->> 'deadline' as "deadline", sms_metadata ->> 'send_after' as "send_after",
  sms_metadata ->> 'send_window' as "send_window", sms_metadata -> 'attempts' as "attempts"`
