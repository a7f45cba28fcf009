-- The schema of the table that queue and bookkeeping belong to. A second table in another schema is refused, because the
-- two installations would take each other's jobs.
alter table sms_retry.migrations add column if not exists table_schema text;
insert into sms_retry.migrations (name, table_schema)
select '012-installation', n.nspname
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 where c.oid = 'sms_usage_logs'::regclass
on conflict (name) do update set table_schema = excluded.table_schema;
