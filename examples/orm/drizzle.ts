// The table sms_usage_logs as `sms-retry migrate` leaves it.
import { sql } from 'drizzle-orm'
import {
  boolean,
  index,
  integer,
  jsonb,
  pgTable,
  serial,
  text,
  timestamp,
  uniqueIndex,
  varchar,
} from 'drizzle-orm/pg-core'

const inFlight = sql`final_status in ('pending', 'submitting', 'retrying', 'accepted', 'scheduled', 'queued', 'sending', 'sent')`
const reconcileAt = sql`(coalesce(sms_metadata ->> 'reconcile_at', '') collate "C")`

export const smsUsageLogs = pgTable(
  'sms_usage_logs',
  {
    id: serial().primaryKey(),
    userId: integer('user_id').notNull(),
    phoneNumber: varchar('phone_number', { length: 20 }).notNull(),
    messageDirection: varchar('message_direction', { length: 10 }).notNull(),
    messageLength: integer('message_length').notNull(),
    messageContent: text('message_content'),
    success: boolean().default(true),
    processingTimeMs: integer('processing_time_ms'),
    errorMessage: text('error_message'),
    smsMetadata: jsonb('sms_metadata').$type<Record<string, unknown>>(),
    createdAt: timestamp('created_at').default(sql`CURRENT_TIMESTAMP`),
    retryCount: integer('retry_count').default(0),
    maxRetries: integer('max_retries').default(3),
    nextRetryAt: timestamp('next_retry_at', { withTimezone: true }),
    twilioMessageSid: varchar('twilio_message_sid', { length: 50 }),
    finalStatus: varchar('final_status', { length: 20 }).default('unknown'),
  },
  (table) => [
    index('idx_sms_usage_logs_retry')
      .on(table.success, table.nextRetryAt)
      .where(sql`success = false and next_retry_at is not null`),
    uniqueIndex('idx_sms_usage_logs_twilio_message_sid_is_unique')
      .on(table.twilioMessageSid)
      .where(sql`twilio_message_sid is not null`),
    uniqueIndex('idx_sms_usage_logs_idempotency_key_is_unique')
      .on(sql`(sms_metadata ->> 'idempotency_key')`)
      .where(sql`sms_metadata ->> 'idempotency_key' is not null`),
    index('idx_sms_usage_logs_in_flight').on(table.finalStatus, table.createdAt).where(inFlight),
    index('idx_sms_usage_logs_reconcile')
      .on(reconcileAt)
      .where(sql`${inFlight} and message_direction <> 'inbound' and ${reconcileAt} < '9999'`),
    index('idx_sms_usage_logs_phone_number')
      .on(table.phoneNumber)
      .where(sql`retry_count > 0 or final_status in ('submitting', 'failed', 'canceled', 'expired')`),
    index('idx_sms_usage_logs_time')
      // All but the first two are INCLUDE columns, which Drizzle reads as columns of the key.
      .on(table.createdAt, table.id, table.finalStatus, table.retryCount, table.userId, table.phoneNumber)
      .where(
        sql`message_direction <> 'inbound' and (final_status <> 'unknown' or twilio_message_sid is not null)`,
      ),
    index('idx_sms_usage_logs_trouble')
      .on(table.createdAt, table.id, table.finalStatus)
      .where(
        sql`message_direction <> 'inbound' and (final_status <> 'unknown' or twilio_message_sid is not null) and (retry_count > 0 or final_status in ('undelivered', 'failed', 'expired', 'canceled', 'retrying'))`,
      ),
  ],
)
