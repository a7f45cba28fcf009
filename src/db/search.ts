// Searches messages, page by page. The index on the creation time holds most searched columns, so the table is read only for
// the results. A search for an error code also reads the messages that had failures, one for metadata all others as well.
import { DELIVERY_STATUSES, type DeliveryStatus } from '../delivery/status.ts'
import { IS_TROUBLED } from './failures.ts'
import { IS_OURS, listOf } from './message-row.ts'
import { type StoredMessage, STORED_COLUMNS, type StoredRow, toStoredMessage } from './messages.ts'
import type { Db } from '../postgres/pool.ts'
import { timeIn } from './times.ts'

/** All conditions that are not null must hold. */
export interface Search {
  readonly statuses: readonly DeliveryStatus[] | null
  /** One of its attempts failed with this code. */
  readonly code: number | null
  /** Digits of the recipient's number: the last ones, or all of them. */
  readonly number: { readonly digits: string; readonly part: 'end' | 'whole' } | null
  /** As text, whatever type the column has. */
  readonly userId: string | null
  /** Created at or after this time. */
  readonly since: Date | null
  /** Created before this time. */
  readonly until: Date | null
  /** All of them must hold. Empty for no condition. */
  readonly metadata: readonly MetadataCondition[]
}

/**
 * A value of the app's metadata, as JSON text: `1001` matches the number and the text, `null` the JSON null. The key is
 * one of the top level. If there is none with this name, dots separate the keys of nested objects.
 */
export interface MetadataCondition {
  readonly key: string
  readonly value: string
}

/** The last message of a page; the next page begins after it. */
export interface Cursor {
  /** In the text format of PostgreSQL, which keeps microseconds. */
  readonly createdAt: string
  readonly id: number
}

export interface SearchPage {
  readonly messages: readonly StoredMessage[]
  /** Null if there are no more. */
  readonly next: Cursor | null
}

/**
 * The maximum number of messages whose rows one search reads: a search for an error code or for metadata, which the
 * index does not have.
 */
export const MAX_READ = 10_000

/** The status as in `Message`: a status that sms-retry does not know counts as `unknown`. */
const KNOWN_STATUS = `case when final_status in (${listOf(DELIVERY_STATUSES)}) then final_status else 'unknown' end`

type FoundRow = StoredRow & {
  readonly position: string
  readonly isLastRead: boolean
  readonly isMatch: boolean
}

const HAS_CODE = `($2::integer is null or jsonb_path_exists(
  m.sms_metadata, '$.attempts[*] ? (@.error_code == $code)', jsonb_build_object('code', $2::integer)))`

const HAS_METADATA = `($10::jsonb is null or not exists (
  select from jsonb_to_recordset($10::jsonb) as wanted (key text, value text)
   cross join lateral (
     select coalesce(m.sms_metadata -> wanted.key, m.sms_metadata #> string_to_array(wanted.key, '.')) as json) as found
   where (case jsonb_typeof(json) when 'null' then 'null' else json #>> '{}' end) is distinct from wanted.value))`

/** Whether the rows themselves must be read. Then at most MAX_READ of them are. */
const READS_ROWS = '($2::integer is not null or $10::jsonb is not null)'

const NEWEST_FIRST = { isAfter: '<', start: `'infinity'`, direction: 'desc' } as const
const OLDEST_FIRST = { isAfter: '>', start: `'-infinity'`, direction: 'asc' } as const

const searchStatement = ({ isAfter, start, direction }: typeof NEWEST_FIRST | typeof OLDEST_FIRST): string =>
  `select ${STORED_COLUMNS}, m.created_at::text as "position", f.rank = ${MAX_READ} as "isLastRead",
          ${HAS_CODE} and ${HAS_METADATA} as "isMatch"
     from (
       select id as found, created_at as found_at,
              row_number() over (order by created_at ${direction}, id ${direction}) as rank
         from sms_usage_logs
        where ${IS_OURS}
          and created_at >= ${timeIn('created_at', '$5', `'-infinity'`)}
          and created_at < ${timeIn('created_at', '$6', `'infinity'`)}
          and (created_at, id) ${isAfter} (${timeIn('created_at', '$7', start)}, coalesce($8::bigint, 0))
          and id <= coalesce($11::bigint, id)
          and ($1::text[] is null or ${KNOWN_STATUS} = any($1))
          and ($3::text[] is null or phone_number like any ($3))
          and ($4::text is null or user_id::text = $4)
          and ($2::integer is null or ${IS_TROUBLED})
        order by created_at ${direction}, id ${direction}
        limit case when ${READS_ROWS} then ${MAX_READ} else $9::integer end) as f
     join sms_usage_logs as m on m.id = f.found
    where ${HAS_CODE} and ${HAS_METADATA} or ${READS_ROWS} and f.rank = ${MAX_READ}
    order by f.found_at ${direction}, f.found ${direction}
    limit $9::integer`

const STATEMENTS = { newest: searchStatement(NEWEST_FIRST), oldest: searchStatement(OLDEST_FIRST) }

export interface PageOptions {
  readonly limit: number
  /** Which messages come first. Default: the newest. */
  readonly first?: 'newest' | 'oldest'
  /** Finds only messages with this id or a lower one. */
  readonly upToId?: number
}

/**
 * Rows without `created_at`, which is nullable, are not found. In a search for a code or metadata, a page can be shorter
 * than `limit` although more pages follow.
 */
export async function searchMessages(
  db: Db,
  { statuses, code, number, userId, since, until, metadata }: Search,
  after: Cursor | null,
  { limit, first = 'newest', upToId }: PageOptions,
): Promise<SearchPage> {
  const { rows } = await db.executeSql<FoundRow>(STATEMENTS[first], [
    statuses,
    code,
    number && patternsOf(number),
    userId,
    since?.toISOString() ?? null,
    until?.toISOString() ?? null,
    after?.createdAt ?? null,
    after?.id ?? null,
    limit + 1,
    metadata.length === 0 ? null : JSON.stringify(metadata),
    upToId ?? null,
  ])
  const isFull = rows.length > limit
  const page = isFull ? rows.slice(0, limit) : rows
  const last = page.at(-1)
  const readsRows = code !== null || metadata.length > 0
  const hasMore = last !== undefined && (isFull || (readsRows && last.isLastRead))
  return {
    messages: page.filter(({ isMatch }) => isMatch).map(toStoredMessage),
    next: hasMore ? { createdAt: last.position, id: Number(last.id) } : null,
  }
}

/** The database's clock, and the largest id so far. */
export interface Now {
  readonly at: Date
  /** 0 in an empty table. */
  readonly maxId: number
}

export async function readNow(db: Db): Promise<Now> {
  const { rows } = await db.executeSql<{ at: Date; maxId: number }>(
    'select clock_timestamp() as "at", coalesce((select max(id) from sms_usage_logs), 0)::bigint as "maxId"',
  )
  const [row] = rows
  if (row === undefined) throw new Error('a select without a table gave no row')
  return { at: row.at, maxId: Number(row.maxId) }
}

/** A complete number is stored with its plus sign, or without it if the app wrote the row. */
function patternsOf({ digits, part }: NonNullable<Search['number']>): string[] {
  return part === 'whole' ? [`+${digits}`, digits] : [`%${digits}`]
}

export async function findIdBySid(db: Db, sid: string): Promise<number | null> {
  const { rows } = await db.executeSql<{ id: number }>(
    `select id from sms_usage_logs where twilio_message_sid = $1::text and ${IS_OURS}`,
    [sid],
  )
  return rows[0]?.id ?? null
}
