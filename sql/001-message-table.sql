-- Creates the message table, or adds the missing columns to an existing one. PostgreSQL keeps constant defaults in its
-- catalog, so a large table is not rewritten, and the lock is held only briefly.
set local lock_timeout = '5s';

-- Our statements find the table anywhere in the search path; `create table if not exists` would check only the first
-- schema.
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

-- Existing columns with these names are kept; next_retry_at may also be a `timestamp`.
alter table sms_usage_logs
  add column if not exists retry_count integer default 0,
  add column if not exists max_retries integer default 3,
  add column if not exists next_retry_at timestamptz,
  add column if not exists twilio_message_sid varchar(50),
  add column if not exists final_status varchar(20) default 'unknown';
