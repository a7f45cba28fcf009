-- no transaction
-- Messages that are not final yet, so that looking for them costs the same on a table of any size.
create index concurrently if not exists idx_sms_usage_logs_in_flight
  on sms_usage_logs (final_status, created_at)
  where final_status in ('pending', 'submitting', 'retrying', 'accepted', 'scheduled', 'queued', 'sending', 'sent');
