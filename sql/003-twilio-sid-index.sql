-- no transaction
-- Each sid belongs to one row. A status callback without our query parameters finds its message here.
create unique index concurrently if not exists idx_sms_usage_logs_twilio_message_sid_is_unique
  on sms_usage_logs (twilio_message_sid)
  where twilio_message_sid is not null;
