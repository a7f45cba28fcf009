-- Which worker watches for the next due retry: one row that all workers share. The others need not wake for it.
create table if not exists sms_retry.due_watch (
  only_row boolean primary key default true check (only_row),
  holder uuid not null,
  held_until timestamptz not null
);
