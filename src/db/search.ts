// Searches messages, newest first and page by page. The index on the creation time holds all searched columns, so the
// table is read only for the results. A search for an error code also reads the messages that had failures.
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
  readonly userId: number | null
  /** Created at or after this time. */
  readonly since: Date | null
  /** Created before this time. */
  readonly until: Date | null
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

/** The maximum number of messages that one search for an error code reads. */
const MAX_READ = 10_000

/** The status as in `Message`: a status that sms-retry does not know counts as `unknown`. */
const KNOWN_STATUS = `case when final_status in (${listOf(DELIVERY_STATUSES)}) then final_status else 'unknown' end`

type FoundRow = StoredRow & {
  readonly position: string
  readonly isLastRead: boolean
  readonly isMatch: boolean
}

const HAS_CODE = `jsonb_path_exists(
  m.sms_metadata, '$.attempts[*] ? (@.error_code == $code)', jsonb_build_object('code', $2::integer))`

/**
 * Rows without `created_at`, which is nullable, are not found. In a search for a code, a page can be shorter than
 * `limit` although more pages follow.
 */
export async function searchMessages(
  db: Db,
  { statuses, code, number, userId, since, until }: Search,
  after: Cursor | null,
  limit: number,
): Promise<SearchPage> {
  const { rows } = await db.executeSql<FoundRow>(
    `select ${STORED_COLUMNS}, m.created_at::text as "position", f.rank = ${MAX_READ} as "isLastRead",
            $2::integer is null or ${HAS_CODE} as "isMatch"
       from (
         select id as found, created_at as found_at, row_number() over (order by created_at desc, id desc) as rank
           from sms_usage_logs
          where ${IS_OURS}
            and created_at >= ${timeIn('created_at', '$5', `'-infinity'`)}
            and created_at < ${timeIn('created_at', '$6', `'infinity'`)}
            and (created_at, id) < (${timeIn('created_at', '$7', `'infinity'`)}, coalesce($8::bigint, 0))
            and ($1::text[] is null or ${KNOWN_STATUS} = any($1))
            and ($3::text[] is null or phone_number like any ($3))
            and ($4::integer is null or user_id = $4)
            and ($2::integer is null or ${IS_TROUBLED})
          order by created_at desc, id desc
          limit case when $2::integer is null then $9::integer else ${MAX_READ} end) as f
       join sms_usage_logs as m on m.id = f.found
      where $2::integer is null or ${HAS_CODE} or f.rank = ${MAX_READ}
      order by f.found_at desc, f.found desc
      limit $9::integer`,
    [
      statuses,
      code,
      number && patternsOf(number),
      userId,
      since?.toISOString() ?? null,
      until?.toISOString() ?? null,
      after?.createdAt ?? null,
      after?.id ?? null,
      limit + 1,
    ],
  )
  const isFull = rows.length > limit
  const page = isFull ? rows.slice(0, limit) : rows
  const last = page.at(-1)
  const hasMore = last !== undefined && (isFull || (code !== null && last.isLastRead))
  return {
    messages: page.filter(({ isMatch }) => isMatch).map(toStoredMessage),
    next: hasMore ? { createdAt: last.position, id: Number(last.id) } : null,
  }
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
