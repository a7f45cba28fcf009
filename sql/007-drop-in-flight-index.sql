-- no transaction
-- The index on the time to look at a message serves for every question about messages in flight.
drop index concurrently if exists idx_sms_usage_logs_in_flight;
