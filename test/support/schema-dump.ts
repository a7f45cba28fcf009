// The schema of sms_usage_logs as text that a person can compare: columns in order, then indexes by name. Not
// included: comments, privileges, and the queue's own schema.
import type { TestDatabase } from './database.ts'

interface Column {
  readonly name: string
  readonly type: string
  readonly isNotNull: boolean
  readonly default: string | null
}

export async function dumpSchema(database: TestDatabase): Promise<string> {
  const columns = await database.query<Column>(
    `select a.attname as "name", format_type(a.atttypid, a.atttypmod) as "type", a.attnotnull as "isNotNull",
            pg_get_expr(d.adbin, d.adrelid) as "default"
       from pg_attribute a
       left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
      where a.attrelid = 'sms_usage_logs'::regclass and a.attnum > 0 and not a.attisdropped
      order by a.attnum`,
  )
  const indexes = await database.query<{ definition: string }>(
    `select pg_get_indexdef(i.indexrelid) as "definition"
       from pg_index i join pg_class c on c.oid = i.indexrelid
      where i.indrelid = 'sms_usage_logs'::regclass
      order by c.relname`,
  )
  return [
    'CREATE TABLE public.sms_usage_logs (',
    columns.map((column) => `  ${describe(column)}`).join(',\n'),
    ');',
    ...indexes.map(({ definition }) => `\n${definition};`),
    '',
  ].join('\n')
}

function describe({ name, type, isNotNull, default: value }: Column): string {
  return [name, type, value === null ? null : `DEFAULT ${value}`, isNotNull ? 'NOT NULL' : null]
    .filter((part) => part !== null)
    .join(' ')
}
