-- What web, worker and the app's sender may do in the database, and nothing else: no DDL, no deleting of messages, no
-- changing of what was said to whom. Not a migration: run it on the same database as the role that runs `sms-retry
-- migrate`, after that, and again after every update; running it again does no harm. The role stands for itself, or for
-- a group of login roles. psql asks for both passwords; neither is in an argument, which `ps` shows to everybody:
--
--   export PGHOST=… PGDATABASE=… PGUSER=…
--   psql -c 'create role sms_retry_app login' -c '\password sms_retry_app'
--   psql --single-transaction -v ON_ERROR_STOP=1 -f sql/roles/least-privilege.sql
--
-- For another name: sed 's/sms_retry_app/its_name/g' sql/roles/least-privilege.sql | psql …

-- The messages. Everything that was recorded of a message when it was accepted stays as it is.
grant select, insert on sms_usage_logs to sms_retry_app;
grant update (final_status, success, retry_count, max_retries, next_retry_at, twilio_message_sid, error_message,
              processing_time_ms, sms_metadata)
  on sms_usage_logs to sms_retry_app;
-- An app's own table may be in another schema, and its defaults may draw from sequences of any name, or from none.
do $$
declare
  sequence regclass;
begin
  execute format('grant usage on schema %s to sms_retry_app',
                 (select relnamespace::regnamespace from pg_class where oid = 'sms_usage_logs'::regclass));
  for sequence in
    select distinct s.oid::regclass
      from pg_attrdef a
      join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = a.oid and d.refclassid = 'pg_class'::regclass
      join pg_class s on s.oid = d.refobjid and s.relkind = 'S'
     where a.adrelid = 'sms_usage_logs'::regclass
  loop
    execute format('grant usage on sequence %s to sms_retry_app', sequence);
  end loop;
end $$;

-- Our bookkeeping: which migrations were run, the rows that all workers share, and the processes that come and go.
grant usage on schema sms_retry to sms_retry_app;
grant select on sms_retry.migrations to sms_retry_app;
grant select, insert, update on sms_retry.send_rate, sms_retry.due_watch, sms_retry.departed to sms_retry_app;
grant select, insert, update, delete on sms_retry.instance to sms_retry_app;

-- The queue, whose jobs come and go. Rights from an earlier run go first.
grant usage on schema sms_retry_pgboss to sms_retry_app;
revoke all on all tables in schema sms_retry_pgboss from sms_retry_app;
grant select on all tables in schema sms_retry_pgboss to sms_retry_app;
grant insert, update, delete on sms_retry_pgboss.job, sms_retry_pgboss.job_common, sms_retry_pgboss.instance
  to sms_retry_app;
grant delete on sms_retry_pgboss.job_dependency to sms_retry_app;
-- The role counts jobs and notes when it did so. It does not say which version the queue has, which queues there are, or
-- how they behave; every other column may change, those of a later version too.
do $$
declare
  allowed record;
begin
  for allowed in
    select attrelid::regclass as on_table, string_agg(quote_ident(attname), ', ') as columns
      from pg_attribute
     where attnum > 0 and not attisdropped
       and (attrelid = 'sms_retry_pgboss.version'::regclass and attname <> 'version'
            or attrelid = 'sms_retry_pgboss.queue'::regclass
               and attname not in ('name', 'policy', 'retry_limit', 'retry_delay', 'retry_backoff', 'retry_delay_max',
                                   'expire_seconds', 'retention_seconds', 'deletion_seconds', 'dead_letter',
                                   'partition', 'table_name', 'warning_queued', 'heartbeat_seconds', 'notify',
                                   'created_on', 'updated_on'))
     group by attrelid
  loop
    execute format('grant update (%s) on %s to sms_retry_app', allowed.columns, allowed.on_table);
  end loop;
end $$;
-- Read only, besides: `bam` holds statements that the next `sms-retry migrate` executes as the owner, so that who writes
-- there is the owner; `schedule`, `subscription`, `warning` and `queue_stats` are for features that sms-retry leaves off.
-- A table that this file does not know belongs to a later version of the queue, which may have to write there.
do $$
declare
  added regclass;
begin
  for added in
    select oid
      from pg_class
     where relnamespace = 'sms_retry_pgboss'::regnamespace and relkind in ('r', 'p') and not relispartition
       and relname not in ('version', 'queue', 'job', 'job_dependency', 'instance', 'bam', 'schedule', 'subscription',
                           'warning', 'queue_stats')
  loop
    execute format('grant insert, update, delete on %s to sms_retry_app', added);
  end loop;
end $$;
grant usage on all sequences in schema sms_retry_pgboss to sms_retry_app;
alter default privileges in schema sms_retry_pgboss grant select, insert, update, delete on tables to sms_retry_app;
alter default privileges in schema sms_retry_pgboss grant usage on sequences to sms_retry_app;
