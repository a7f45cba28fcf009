-- no transaction
-- Messages with an attempt that lacks a sid, or with several attempts: an entry of Twilio's message list may belong to
-- these. Messages delivered at the first attempt, by far the most, are left out.
create index concurrently if not exists idx_sms_usage_logs_phone_number
  on sms_usage_logs (phone_number)
  where retry_count > 0 or final_status in ('submitting', 'failed', 'canceled', 'expired');
