// The table sms_usage_logs for TypeORM, as `sms-retry migrate` leaves it.
import { EntitySchema } from 'typeorm'

export interface SmsUsageLog {
  id: number
  userId: number
  phoneNumber: string
  messageDirection: string
  messageLength: number
  messageContent: string | null
  success: boolean | null
  processingTimeMs: number | null
  errorMessage: string | null
  smsMetadata: Record<string, unknown> | null
  createdAt: Date | null
  retryCount: number | null
  maxRetries: number | null
  nextRetryAt: Date | null
  twilioMessageSid: string | null
  finalStatus: string | null
}

export const SmsUsageLogs = new EntitySchema<SmsUsageLog>({
  name: 'SmsUsageLog',
  tableName: 'sms_usage_logs',
  // `sms-retry migrate` changes the table. TypeORM does not know the conditions of its indexes, and would drop some.
  synchronize: false,
  columns: {
    id: { type: 'integer', primary: true, generated: 'increment' },
    userId: { name: 'user_id', type: 'integer' },
    phoneNumber: { name: 'phone_number', type: 'varchar', length: 20 },
    messageDirection: { name: 'message_direction', type: 'varchar', length: 10 },
    messageLength: { name: 'message_length', type: 'integer' },
    messageContent: { name: 'message_content', type: 'text', nullable: true },
    success: { type: 'boolean', nullable: true, default: true },
    processingTimeMs: { name: 'processing_time_ms', type: 'integer', nullable: true },
    errorMessage: { name: 'error_message', type: 'text', nullable: true },
    smsMetadata: { name: 'sms_metadata', type: 'jsonb', nullable: true },
    createdAt: { name: 'created_at', type: 'timestamp', nullable: true, default: () => 'CURRENT_TIMESTAMP' },
    retryCount: { name: 'retry_count', type: 'integer', nullable: true, default: 0 },
    maxRetries: { name: 'max_retries', type: 'integer', nullable: true, default: 3 },
    nextRetryAt: { name: 'next_retry_at', type: 'timestamptz', nullable: true },
    twilioMessageSid: { name: 'twilio_message_sid', type: 'varchar', length: 50, nullable: true },
    finalStatus: { name: 'final_status', type: 'varchar', length: 20, nullable: true, default: 'unknown' },
  },
})
