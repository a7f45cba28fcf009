// Reads the rights of the role that sms-retry connects as, for `doctor`.
import type { Db } from '../postgres/pool.ts'

/**
 * The tables that the processes use, with the rights they need, as granted by least-privilege.sql. Partitions are accessed
 * through their table, except the one that pg-boss names directly.
 */
const OURS = `
  with ours as (
    select c.oid, c.oid::regclass::text as name,
           case
             when n.nspname = 'sms_retry_pgboss' then case
               when c.relname in ('version', 'queue') then '{select,update}'
               when c.relname = 'job_dependency' then '{select,delete}'
               when c.relname in ('bam', 'schedule', 'subscription', 'warning', 'queue_stats') then '{select}'
               else '{select,insert,update,delete}'
             end
             when n.nspname = 'sms_retry' and c.relname = 'instance' then '{select,insert,update,delete}'
             else '{select,insert,update}'
           end::text[] as needs
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
     where c.oid = to_regclass('sms_usage_logs')
        or c.relkind in ('r', 'p') and (not c.relispartition or c.relname = 'job_common')
           and (n.nspname = 'sms_retry_pgboss' or n.nspname = 'sms_retry' and c.relname <> 'migrations'))`

export interface MissingRight {
  readonly role: string
  readonly privilege: string
  /** Tables, or the sequences that number their rows. */
  readonly on: readonly string[]
}

/** A right on some columns is enough, because least-privilege.sql grants no more for updates. */
export async function readMissingRights(db: Db): Promise<MissingRight[]> {
  const { rows } = await db.executeSql<MissingRight>(
    `${OURS}, missing (privilege, name) as (
       select privilege, name
         from ours, unnest(needs) as privilege
        where not case privilege
                    when 'delete' then has_table_privilege(oid, privilege)
                    else has_any_column_privilege(oid, privilege)
                  end
       union all
       select 'usage', s.oid::regclass::text
         from pg_attrdef a
         join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = a.oid
         join pg_class s on s.oid = d.refobjid
        where a.adrelid in (select oid from ours)
          and case s.relkind when 'S' then not has_sequence_privilege(s.oid, 'usage, update') end)
     select current_user::text as "role", privilege, array_agg(name order by name) as "on"
       from missing
      group by privilege
      order by privilege`,
  )
  return rows
}

/** Commands for which row-level security hides rows, because no policy gives this role all of them. */
export async function readHiddenRows(db: Db): Promise<MissingRight[]> {
  const { rows } = await db.executeSql<MissingRight>(
    `${OURS}
     select current_user::text as "role", privilege, array_agg(name order by name) as "on"
       from ours, (values ('select', 'r'), ('insert', 'a'), ('update', 'w')) as command (privilege, letter)
      where row_security_active(oid)
        and not exists (
          select from pg_policy
           where polrelid = ours.oid and polpermissive and polcmd::text in ('*', letter)
             and exists (select from unnest(polroles) as role where role = 0 or pg_has_role(role, 'usage'))
             and coalesce(pg_get_expr(polqual, polrelid), 'true') = 'true'
             and coalesce(pg_get_expr(polwithcheck, polrelid), 'true') = 'true')
      group by privilege
      order by privilege`,
  )
  return rows
}
