-- The processes that run, each with what it counts: a scrape of any web process then tells of all of them. Rows come and
-- go with processes; a few dozen at the most.
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

-- What processes counted that are gone, all together in one row, so that no counter goes back.
create table if not exists sms_retry.departed (
  only_row boolean primary key default true check (only_row),
  metrics jsonb not null
);
insert into sms_retry.departed (metrics) values ('[]') on conflict do nothing;
