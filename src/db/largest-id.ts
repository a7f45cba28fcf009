// Finds ids above `Number.MAX_SAFE_INTEGER`. JavaScript cannot tell such `bigint`s apart: two messages would be one.
import type { Db } from '../postgres/pool.ts'

export interface TooLargeId {
  /** As text. */
  readonly id: string
  /** The sequence that generates it; null if a row has it. */
  readonly sequence: string | null
}

/** Read from the primary key and the catalog; null if there is no such id, or no table. */
export async function readTooLargeId(db: Db): Promise<TooLargeId | null> {
  const { rows: ids } = await db.executeSql<{ default: number | null }>(
    `select d.oid::bigint as "default"
       from pg_attribute a
       left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
      where a.attrelid = to_regclass('sms_usage_logs') and a.attname = 'id' and a.atttypid = 'bigint'::regtype`,
  )
  if (ids.length === 0) return null
  // An identity column has no default, and its sequence depends on the column.
  const { rows } = await db.executeSql<TooLargeId>(
    `select id::text as "id", sequence as "sequence"
       from (
         select max(id) as id, null as sequence from sms_usage_logs
         union all
         select coalesce(s.last_value, s.start_value), quote_ident(s.schemaname) || '.' || quote_ident(s.sequencename)
           from pg_sequences s
           join pg_namespace n on n.nspname = s.schemaname
           join pg_class c on c.relname = s.sequencename and c.relnamespace = n.oid
          where c.oid in (
                  select refobjid from pg_depend where classid = 'pg_attrdef'::regclass and objid = $1::oid
                  union all
                  select objid from pg_depend
                   where classid = 'pg_class'::regclass and refobjid = to_regclass('sms_usage_logs')
                     and deptype in ('a', 'i')
                     and refobjsubid = (select attnum from pg_attribute
                                         where attrelid = to_regclass('sms_usage_logs') and attname = 'id'))) as ids
      where id > ${Number.MAX_SAFE_INTEGER}
      order by sequence nulls first
      limit 1`,
    [ids[0]?.default ?? 0],
  )
  return rows[0] ?? null
}

/** What is wrong, and what to do. */
export function explainTooLargeId({ id, sequence }: TooLargeId): readonly [what: string, fix: string] {
  const who =
    sequence === null ? 'A row of sms_usage_logs has the id' : `The sequence ${sequence} generates the id`
  const limit = Number.MAX_SAFE_INTEGER
  return [
    `${who} ${id}, but ids above ${limit} (2^53 - 1) cannot be told apart in JavaScript`,
    'Restart the sequence at a smaller number (alter sequence ... restart with ...). Give smaller ids to the rows above ' +
      'the limit, or move these rows to another table.',
  ]
}
