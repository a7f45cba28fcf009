-- no transaction
-- Each idempotency key belongs to one message.
create unique index concurrently if not exists idx_sms_usage_logs_idempotency_key_is_unique
  on sms_usage_logs ((sms_metadata ->> 'idempotency_key'))
  where sms_metadata ->> 'idempotency_key' is not null;
