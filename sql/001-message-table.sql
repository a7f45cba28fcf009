-- The table of the messages: created where it does not exist, completed where it does. Constant defaults are
-- kept in the catalog, so that a large table is not rewritten; the lock is held for an instant.
set local lock_timeout = '5s';

-- Looked for along the whole search path, as every statement of ours does; `create table if not exists` looks in its
-- first schema only.
do $$
begin
  if to_regclass('sms_usage_logs') is null then
    create table sms_usage_logs (
      id serial primary key,
      user_id integer not null,
      phone_number varchar(20) not null,
      message_direction varchar(10) not null,
      message_length integer not null,
      message_content text,
      success boolean default true,
      processing_time_ms integer,
      error_message text,
      sms_metadata jsonb,
      created_at timestamp default current_timestamp
    );
  end if;
end $$;

-- Existing columns of these names are kept as they are (`timestamp` for next_retry_at works as well).
alter table sms_usage_logs
  add column if not exists retry_count integer default 0,
  add column if not exists max_retries integer default 3,
  add column if not exists next_retry_at timestamptz,
  add column if not exists twilio_message_sid varchar(50),
  add column if not exists final_status varchar(20) default 'unknown';
