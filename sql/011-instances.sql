-- The running processes with their metrics, so a scrape of any web process reports all of them. A few dozen rows at most.
create table if not exists sms_retry.instance (
  id uuid primary key,
  role text not null,
  host text not null,
  pid integer not null,
  version text not null,
  started_at timestamptz not null,
  seen_at timestamptz not null,
  metrics jsonb not null
);

-- The counters of processes that have ended, added up in one row, so no counter decreases.
create table if not exists sms_retry.departed (
  only_row boolean primary key default true check (only_row),
  metrics jsonb not null
);
insert into sms_retry.departed (metrics) values ('[]') on conflict do nothing;
