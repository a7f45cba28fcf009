-- no transaction
-- Messages that are not final, so finding them costs the same whatever the size of the table.
create index concurrently if not exists idx_sms_usage_logs_in_flight
  on sms_usage_logs (final_status, created_at)
  where final_status in ('pending', 'submitting', 'retrying', 'accepted', 'scheduled', 'queued', 'sending', 'sent');
