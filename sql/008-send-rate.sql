-- The time of the next attempt that SEND_RATE_PER_SECOND allows. All workers share this row.
create table if not exists sms_retry.send_rate (
  only_row boolean primary key default true check (only_row),
  next_at timestamptz not null
);
insert into sms_retry.send_rate (next_at) values (now()) on conflict do nothing;
