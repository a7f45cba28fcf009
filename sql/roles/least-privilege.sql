-- Grants web, worker and the app's sender the rights that they need, and no others: no DDL, no deleting of messages, no
-- changes to their number or text. This is not a migration. Run it as the role that runs `sms-retry migrate`, after
-- each `migrate`; running it again does no harm. The role may log in itself or be a group of login roles. psql prompts for
-- both passwords, because `ps` shows arguments to everybody:
--
--   export PGHOST=… PGDATABASE=… PGUSER=…
--   psql -c 'create role sms_retry_app login' -c '\password sms_retry_app'
--   psql --single-transaction -v ON_ERROR_STOP=1 -f sql/roles/least-privilege.sql
--
-- For another name: sed 's/sms_retry_app/its_name/g' sql/roles/least-privilege.sql | psql …

-- Messages. Only the columns of their state may change.
grant select, insert on sms_usage_logs to sms_retry_app;
grant update (final_status, success, retry_count, max_retries, next_retry_at, twilio_message_sid, error_message,
              processing_time_ms, sms_metadata)
  on sms_usage_logs to sms_retry_app;
-- The table may be in any schema, and its defaults may use sequences of any name, or none.
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

-- Bookkeeping: the migrations that ran, the rows that all workers share, and the running processes.
grant usage on schema sms_retry to sms_retry_app;
grant select on sms_retry.migrations to sms_retry_app;
grant select, insert, update on sms_retry.send_rate, sms_retry.due_watch, sms_retry.departed,
  sms_retry.account_state to sms_retry_app;
grant select, insert, update, delete on sms_retry.instance to sms_retry_app;

-- The queue. Rights from an earlier run are revoked first.
grant usage on schema sms_retry_pgboss to sms_retry_app;
revoke all on all tables in schema sms_retry_pgboss from sms_retry_app;
grant select on all tables in schema sms_retry_pgboss to sms_retry_app;
grant insert, update, delete on sms_retry_pgboss.job, sms_retry_pgboss.job_common, sms_retry_pgboss.instance
  to sms_retry_app;
grant delete on sms_retry_pgboss.job_dependency to sms_retry_app;
-- The role writes counts of jobs and their times. It must not change the queue's version, the list of queues or their
-- options. Every other column may change, including those of a later version.
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
-- These stay read-only: `bam` holds statements that the next `sms-retry migrate` executes as the owner, so write access
-- would give the owner's rights; `schedule`, `subscription`, `warning` and `queue_stats` are for features that sms-retry does
-- not use. Tables that this file does not name belong to a later version of the queue, which may have to write there.
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
