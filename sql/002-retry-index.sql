-- no transaction
-- Failed messages that wait for a retry, by due time.
create index concurrently if not exists idx_sms_usage_logs_retry
  on sms_usage_logs (success, next_retry_at)
  where success = false and next_retry_at is not null;
