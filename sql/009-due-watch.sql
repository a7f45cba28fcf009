-- The worker that watches for the next due retry, so the others do not wake for it. All workers share this row.
create table if not exists sms_retry.due_watch (
  only_row boolean primary key default true check (only_row),
  holder uuid not null,
  held_until timestamptz not null
);
