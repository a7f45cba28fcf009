-- no transaction
-- Messages by time, with the columns that are counted and searched: the dashboard reads this index instead of the table.
create index concurrently if not exists idx_sms_usage_logs_time
  on sms_usage_logs (created_at, id) include (final_status, retry_count, user_id, phone_number)
  where message_direction <> 'inbound' and (final_status <> 'unknown' or twilio_message_sid is not null);
