-- What web, worker and the app's sender may do in the database, and nothing else: no DDL, no deleting of messages, no
-- changing of what was said to whom. Not a migration: run it on the same database as the role that runs `sms-retry
-- migrate`, after that, and again after every update; running it again does no harm. The role stands for itself, or for
-- a group of login roles:
--
--   create role sms_retry_app login password '…';
--   psql "$DATABASE_URL" --single-transaction -v ON_ERROR_STOP=1 -f sql/roles/least-privilege.sql
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

-- The queue, whose jobs come and go. Its tables are pg-boss's own affair, those of a later version too.
grant usage on schema sms_retry_pgboss to sms_retry_app;
grant select, insert, update, delete on all tables in schema sms_retry_pgboss to sms_retry_app;
grant usage on all sequences in schema sms_retry_pgboss to sms_retry_app;
alter default privileges in schema sms_retry_pgboss grant select, insert, update, delete on tables to sms_retry_app;
alter default privileges in schema sms_retry_pgboss grant usage on sequences to sms_retry_app;
