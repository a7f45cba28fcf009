-- no transaction
-- Messages that failed, were retried or canceled, by time. Most messages are delivered at the first try, and are not in it.
create index concurrently if not exists idx_sms_usage_logs_trouble
  on sms_usage_logs (created_at, id) include (final_status)
  where message_direction <> 'inbound' and (final_status <> 'unknown' or twilio_message_sid is not null)
    and (retry_count > 0 or final_status in ('undelivered', 'failed', 'expired', 'canceled', 'retrying'));
