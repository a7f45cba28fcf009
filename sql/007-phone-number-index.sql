-- no transaction
-- Messages whose attempts may lack a sid, or have others than the latest: where an entry of Twilio's message list may
-- belong. Those that were delivered at once, the most by far, are not among them.
create index concurrently if not exists idx_sms_usage_logs_phone_number
  on sms_usage_logs (phone_number)
  where retry_count > 0 or final_status in ('submitting', 'failed', 'canceled', 'expired');
