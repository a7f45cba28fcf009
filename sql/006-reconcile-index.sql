-- no transaction
-- Messages that are not final yet, by the time at which they are to be looked at: ISO 8601 in UTC, which sorts as
-- text. A row without a time comes first; one that was given up (the year 9999) is not among them. So whoever looks
-- pays for what is overdue, whatever the table's size.
create index concurrently if not exists idx_sms_usage_logs_reconcile
  on sms_usage_logs ((coalesce(sms_metadata ->> 'reconcile_at', '') collate "C"))
  where final_status in ('pending', 'submitting', 'retrying', 'accepted', 'scheduled', 'queued', 'sending', 'sent')
    and message_direction <> 'inbound'
    and coalesce(sms_metadata ->> 'reconcile_at', '') collate "C" < '9999';
