-- What each process saw last of attempts and status callbacks, in seconds before `seen_at`. A process of an older version
-- leaves it empty.
alter table sms_retry.instance add column if not exists activity jsonb not null default '{}';

-- The same of all exited processes: when a worker last ran, and when a status callback last arrived. No callback is
-- missed before this migration.
alter table sms_retry.departed
  add column if not exists worker_seen_at timestamptz,
  add column if not exists callback_at timestamptz default now();
