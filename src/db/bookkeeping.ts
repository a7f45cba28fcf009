// Reads from the schema `sms_retry` which migrations were applied, and to which table. A database has one installation:
// two tables with one queue would take each other's jobs.
import { readdir } from 'node:fs/promises'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SchemaError } from '../shared/errors.ts'
import type { Db } from '../postgres/pool.ts'

export const MIGRATIONS_DIRECTORY = fileURLToPath(new URL('../../sql', import.meta.url))
export const BOOKKEEPING_SCHEMA = 'sms_retry'
export const BOOKKEEPING = `${BOOKKEEPING_SCHEMA}.migrations`

export const TABLE_MIGRATION = '001-message-table'

export type TableState =
  | { readonly kind: 'current' }
  | { readonly kind: 'outdated'; readonly missing: readonly string[] }
  | Misplaced

/** `installed` and `found` are names of schemas. */
type Misplaced =
  /** The migrated table is gone, and the search path finds another: it was moved, or its schema was renamed. */
  | { readonly kind: 'moved'; readonly installed: string; readonly found: string }
  /** The migrated table exists, but the search path finds another one, or none. */
  | { readonly kind: 'elsewhere'; readonly installed: string; readonly found: string | null }

export async function readTableState(db: Db): Promise<TableState> {
  const [names, applied, place] = await Promise.all([migrationNames(), appliedMigrations(db), readPlace(db)])
  const misplaced = misplacedIn(place)
  if (misplaced !== null) return misplaced
  const isLost = place?.found === null
  const missing = names.filter((name) => !applied.has(name) || (isLost && name === TABLE_MIGRATION))
  return missing.length === 0 ? { kind: 'current' } : { kind: 'outdated', missing }
}

/** @throws SchemaError, with what to do, if the table is not the installed one or not up to date */
export async function requireCurrentTable(db: Db): Promise<void> {
  const state = await readTableState(db)
  if (state.kind !== 'current') throw schemaError(state)
}

/** @throws SchemaError if the search path does not find the migrated table */
export async function requireOwnTable(db: Db): Promise<void> {
  const misplaced = misplacedIn(await readPlace(db))
  if (misplaced?.kind === 'elsewhere') throw schemaError(misplaced)
}

const MIGRATE = 'Run: sms-retry migrate'

/** What is wrong, and what to do. */
export function explainMisplaced(state: Misplaced): readonly [what: string, fix: string] {
  const { installed, found } = state
  if (state.kind === 'moved')
    return [`The table sms_usage_logs was moved from the schema ${installed} to ${found}`, MIGRATE]
  const seen = found === null ? 'does not find it' : `finds another table in the schema ${found}`
  return [
    `The table sms_usage_logs of this database's installation is in the schema ${installed}, but the search path ${seen}`,
    'If this is the same installation, correct schema= in DATABASE_URL, or the search_path of its role. If it is another ' +
      'one, give it a database of its own: two installations cannot share a queue. If the table was copied to another schema, ' +
      'rename the old one, then run: sms-retry migrate',
  ]
}

export function schemaError(state: Exclude<TableState, { kind: 'current' }>): SchemaError {
  if (state.kind === 'outdated')
    return new SchemaError(`The table sms_usage_logs is missing or not up to date. ${MIGRATE}`)
  return new SchemaError(explainMisplaced(state).join('. '))
}

export async function appliedMigrations(db: Db): Promise<ReadonlySet<string>> {
  if (!(await isBooked(db))) return new Set()
  const { rows } = await db.executeSql<{ name: string }>(`select name from ${BOOKKEEPING}`)
  return new Set(rows.map(({ name }) => name))
}

/** The names of this version's migrations, in order. */
export async function migrationNames(): Promise<string[]> {
  const files = await readdir(MIGRATIONS_DIRECTORY)
  return files
    .filter((file) => file.endsWith('.sql'))
    .map((file) => basename(file, '.sql'))
    .sort()
}

async function isBooked(db: Db): Promise<boolean> {
  const { rows } = await db.executeSql<{ isBooked: boolean }>(
    `select to_regclass('${BOOKKEEPING}') is not null as "isBooked"`,
  )
  return rows[0]?.isBooked === true
}

/** Each table of this name, with its schema. A migrated table has our indexes. */
const TABLES = `
  select n.nspname as schema, c.oid = to_regclass('sms_usage_logs') as is_found,
         exists (select
                   from pg_index i
                   join pg_class x on x.oid = i.indexrelid
                  where i.indrelid = c.oid and x.relname = 'idx_sms_usage_logs_in_flight') as is_migrated
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
   where c.relname = 'sms_usage_logs' and c.relkind in ('r', 'p', 'v', 'm', 'f')`

/** The schemas of the table. */
interface TablePlace {
  /** Of the migrated table; null if that is not known. */
  readonly installed: string | null
  /** Whether that schema still has a table of this name. */
  readonly isThere: boolean
  /** Of the table that the search path finds. */
  readonly found: string | null
}

/** Null before the first migration. */
async function readPlace(db: Db): Promise<TablePlace | null> {
  if (!(await isBooked(db))) return null
  // The column table_schema exists since migration 012, and is read through JSON so that the statement also works before.
  // Without it, the table that has our indexes is the migrated one.
  const { rows } = await db.executeSql<TablePlace>(
    `with tables as (${TABLES}),
     installed as (
       select coalesce((select max(to_jsonb(m) ->> 'table_schema') from ${BOOKKEEPING} as m),
                       (select schema::text from tables where is_migrated order by is_found desc, schema limit 1)) as schema)
     select schema as "installed",
            exists (select from tables where tables.schema = installed.schema) as "isThere",
            (select schema::text from tables where is_found) as "found"
       from installed`,
  )
  return rows[0] ?? null
}

function misplacedIn(place: TablePlace | null): Misplaced | null {
  if (place === null || place.installed === null || place.installed === place.found) return null
  const { installed, found, isThere } = place
  if (isThere) return { kind: 'elsewhere', installed, found }
  return found === null ? null : { kind: 'moved', installed, found }
}
