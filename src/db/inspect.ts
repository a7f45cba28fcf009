// Read-only statements on the server, the table and the queue, for `doctor` and `GET /readyz`.
import { INDEX_NAMES } from './migrations.ts'
import type { Db } from '../postgres/pool.ts'

export interface ServerFacts {
  readonly version: string
  /** Such as 18. */
  readonly major: number
  /** True on a standby, and if the database or the role is set to read-only. */
  readonly isReadOnly: boolean
  readonly isStandby: boolean
  /** Such as TLSv1.3; null for an unencrypted connection. With a pooler: of the connection between it and the server. */
  readonly tls: string | null
  readonly now: Date
}

export async function readServer(db: Db): Promise<ServerFacts> {
  const { rows } = await db.executeSql<ServerFacts>(
    `select current_setting('server_version') as "version",
            current_setting('server_version_num')::integer / 10000 as "major",
            current_setting('transaction_read_only')::boolean as "isReadOnly",
            pg_is_in_recovery() as "isStandby",
            (select version from pg_stat_ssl where pid = pg_backend_pid() and ssl) as "tls",
            clock_timestamp() as "now"`,
  )
  const [facts] = rows
  if (facts === undefined) throw new Error('a select without a table gave no row')
  return facts
}

/** The server's settings by name, with the values that this session has. */
export async function readSettings(db: Db, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const { rows } = await db.executeSql<{ name: string; setting: string }>(
    `select name, setting from pg_settings where name = any($1::text[])`,
    [names],
  )
  return new Map(rows.map(({ name, setting }) => [name, setting]))
}

export interface Column {
  readonly name: string
  /** Such as `character varying`: without the length, and the base type of a domain. */
  readonly type: string
  /** The maximum length of a text that has one, also if its domain sets it. */
  readonly length: number | null
  readonly isNotNull: boolean
  /** NOT NULL without a default: an insert that does not name it fails. */
  readonly isRequired: boolean
  /** Computed from other columns: a statement that gives it a value fails. */
  readonly isGenerated: boolean
}

/** The columns of `sms_usage_logs`; empty if there is no such table. */
export async function readColumns(db: Db): Promise<Column[]> {
  const { rows } = await db.executeSql<Column>(
    `select a.attname as "name",
            format_type(coalesce(nullif(t.typbasetype, 0), t.oid), null) as "type",
            nullif(greatest(a.atttypmod, t.typtypmod), -1) - 4 as "length",
            a.attnotnull or t.typnotnull as "isNotNull",
            (a.attnotnull or t.typnotnull) and not a.atthasdef and t.typdefault is null and a.attidentity = ''
              as "isRequired",
            a.attgenerated <> '' as "isGenerated"
       from pg_attribute a
       join pg_type t on t.oid = a.atttypid
      where a.attrelid = to_regclass('sms_usage_logs') and a.attnum > 0 and not a.attisdropped
      order by a.attnum`,
  )
  return rows
}

export interface IndexFacts {
  readonly name: string
  readonly state: 'valid' | 'invalid' | 'being built' | 'missing'
}

/** The state of each of our indexes. */
export async function readIndexes(db: Db): Promise<IndexFacts[]> {
  const { rows } = await db.executeSql<IndexFacts>(
    `select wanted.name,
            case when i.indexrelid is null then 'missing'
                 when i.indisvalid then 'valid'
                 when exists (select from pg_stat_progress_create_index p where p.index_relid = i.indexrelid)
                 then 'being built'
                 else 'invalid' end as "state"
       from unnest($1::text[]) as wanted (name)
       left join (pg_class c join pg_index i on i.indexrelid = c.oid and i.indrelid = to_regclass('sms_usage_logs'))
         on c.relname = wanted.name
      order by wanted.name`,
    [INDEX_NAMES],
  )
  return rows
}

/** The version of pg-boss's schema. */
export async function readQueueVersion(db: Db): Promise<number> {
  const { rows } = await db.executeSql<{ version: number }>(
    `select version::integer as "version" from sms_retry_pgboss.version`,
  )
  return rows[0]?.version ?? 0
}

/** True if a worker watches for the next due retry. */
export async function isWatched(db: Db): Promise<boolean> {
  const { rows } = await db.executeSql(`select from sms_retry.due_watch where held_until > clock_timestamp()`)
  return rows.length > 0
}
