// Reads the history of failed messages (evidence/history.ts) page by page. Messages delivered at the first attempt are not
// read: the index on the time leaves them out.
import { type EndedMessage, type History, HistoryBuilder } from '../evidence/history.ts'
import { isDeliveryStatus } from '../delivery/status.ts'
import { IS_TROUBLED } from './failures.ts'
import { IS_OURS, toAttempts, toTime } from './message-row.ts'
import type { Db } from '../postgres/pool.ts'
import type { Cursor } from './search.ts'
import { castToColumnType, timeIn } from './times.ts'

/** The failures of about three million messages. Reading them takes at most a minute, also on a busy machine. */
export const MAX_HISTORY = 200_000

/** Parsing a page takes about 30 ms. The web process answers other requests only between two pages. */
const PAGE = 500

interface HistoryRow {
  readonly id: number
  readonly position: string
  readonly status: string
  readonly maxRetries: number
  readonly deadline: string | null
  readonly attempts: unknown
  readonly segments: number | null
}

/**
 * One page of the newest messages that failed or were retried, from a time on. All attempts of a message send the same
 * text, so the segments of one are those of each.
 */
const PAGE_OF_HISTORY = `
  with troubled as materialized (
    select id, created_at
      from sms_usage_logs
     where ${IS_OURS} and ${IS_TROUBLED}
       and created_at >= ${castToColumnType('created_at', 'now() - make_interval(secs => $1::double precision)')}
       and (created_at, id) < (${timeIn('created_at', '$2', `'infinity'`)}, coalesce($3::bigint, 0))
     order by created_at desc, id desc
     limit $4::integer)
  select m.id, m.created_at::text as "position", coalesce(m.final_status, 'unknown') as "status",
         coalesce(m.max_retries, 3) as "maxRetries", m.sms_metadata ->> 'deadline' as "deadline",
         m.sms_metadata -> 'attempts' as "attempts",
         jsonb_path_query_first(m.sms_metadata, '$.attempts[*].segments ? (@ >= 1 && @ <= 100)')::double precision as "segments"
    from troubled
    join sms_usage_logs as m using (id)
   order by troubled.created_at desc, troubled.id desc`

/**
 * The history of the messages that were created in the last `lastSeconds`. Rows without `created_at` are left out. If
 * there are more than `limit`, only the newest are read.
 */
export async function readHistory(db: Db, lastSeconds: number, limit = MAX_HISTORY): Promise<History> {
  const builder = new HistoryBuilder()
  let after: Cursor | null = null
  for (let read = 0; read < limit; ) {
    const size = Math.min(PAGE, limit - read)
    const rows: readonly HistoryRow[] = await readPage(db, lastSeconds, after, size)
    for (const row of rows) builder.add(toEndedMessage(row))
    read += rows.length
    const last = rows.at(-1)
    if (last === undefined || rows.length < size) return builder.build(true)
    after = { createdAt: last.position, id: Number(last.id) }
  }
  const next = await readPage(db, lastSeconds, after, 1)
  return builder.build(next.length === 0)
}

async function readPage(
  db: Db,
  lastSeconds: number,
  after: Cursor | null,
  size: number,
): Promise<readonly HistoryRow[]> {
  const { rows } = await db.executeSql<HistoryRow>(PAGE_OF_HISTORY, [
    lastSeconds,
    after?.createdAt ?? null,
    after?.id ?? null,
    size,
  ])
  return rows
}

function toEndedMessage(row: HistoryRow): EndedMessage {
  const { status, maxRetries, deadline, attempts, segments } = row
  return {
    status: isDeliveryStatus(status) ? status : 'unknown',
    maxRetries,
    deadline: toTime(deadline),
    attempts: toAttempts(attempts).map((attempt) => ({ ...attempt, segments })),
  }
}
