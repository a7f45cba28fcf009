// The table sms_usage_logs for Kysely, as `sms-retry migrate` leaves it.
import type { ColumnType, Generated, JSONColumnType } from 'kysely'

export interface SmsUsageLogs {
  id: Generated<number>
  user_id: number
  phone_number: string
  message_direction: string
  message_length: number
  message_content: string | null
  success: Generated<boolean | null>
  processing_time_ms: number | null
  error_message: string | null
  sms_metadata: JSONColumnType<Record<string, unknown>> | null
  created_at: Generated<Date | null>
  retry_count: Generated<number | null>
  max_retries: Generated<number | null>
  next_retry_at: ColumnType<Date | null>
  twilio_message_sid: string | null
  final_status: Generated<string | null>
}

export interface Database {
  sms_usage_logs: SmsUsageLogs
}
