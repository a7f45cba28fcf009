-- no transaction
-- Messages that are not final, by the time of their next check: ISO 8601 in UTC, which sorts as text. Rows without a
-- time come first; rows that are never checked again (year 9999) are left out. The sweep reads overdue messages only.
create index concurrently if not exists idx_sms_usage_logs_reconcile
  on sms_usage_logs ((coalesce(sms_metadata ->> 'reconcile_at', '') collate "C"))
  where final_status in ('pending', 'submitting', 'retrying', 'accepted', 'scheduled', 'queued', 'sending', 'sent')
    and message_direction <> 'inbound'
    and coalesce(sms_metadata ->> 'reconcile_at', '') collate "C" < '9999';
