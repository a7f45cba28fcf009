// The statements that delete old messages, or only their personal data. Each handles one window of the table, ordered by
// time, in its own transaction.
import { DELIVERY_STATUSES, type DeliveryStatus, isFinal } from '../delivery/status.ts'
import { IS_OURS, listOf } from './message-row.ts'
import type { Db } from '../postgres/pool.ts'
import type { Cursor } from './search.ts'
import { timeIn } from './times.ts'

/** `content` deletes the texts, `rows` the rows. Either can be counted without deleting. */
export type PruneAct = 'count content' | 'count rows' | 'content' | 'rows'

export interface PruneWindow {
  readonly createdBefore: Date
  /** The last message of the window before. */
  readonly after: Cursor | null
  /** How many messages the window has. */
  readonly limit: number
}

export interface PrunedWindow {
  readonly pruned: number
  /** Null if the window is empty. */
  readonly last: Cursor | null
}

const FINAL = DELIVERY_STATUSES.filter(isFinal)
const WAITING_OR_UNKNOWN: readonly DeliveryStatus[] = ['unknown', 'pending', 'retrying']
const WITH_TWILIO = DELIVERY_STATUSES.filter(
  (status) => !isFinal(status) && !WAITING_OR_UNKNOWN.includes(status),
)

/** Final, or with Twilio and never checked again: some carriers never report, and the message stays `sent`. */
const IS_OVER = `(final_status in (${listOf(FINAL)})
        or final_status in (${listOf(WITH_TWILIO)}) and (sms_metadata ->> 'reconcile_at') collate "C" >= '9999')`

/** Strict: what the app keeps there in another form is neither found nor changed. */
const HAS_CONTENT = `(message_content is not null
        or jsonb_typeof(sms_metadata) = 'object'
           and (sms_metadata -> 'retry_error' is not null
                or jsonb_path_exists(sms_metadata, 'strict $.attempts[*] ? (exists(@.error_text))', '{}', true)))`

/** Twilio's error texts may contain the recipient's number. Its codes stay, and so do all keys of the app. */
const WITHOUT_CONTENT = `
  case when jsonb_typeof(sms_metadata) = 'object' then
    sms_metadata - 'retry_error' || case when jsonb_typeof(sms_metadata -> 'attempts') = 'array' then
      jsonb_build_object('attempts', (
        select coalesce(jsonb_agg(case when jsonb_typeof(entry) = 'object' then entry - 'error_text' else entry end
                                  order by position), '[]')
          from jsonb_array_elements(sms_metadata -> 'attempts') with ordinality as e (entry, position)))
      else '{}' end
  else sms_metadata end`

/** Chosen rows are locked, so that they cannot change before they are deleted. Rows locked by others are left out. */
const ACTS: Readonly<Record<PruneAct, { readonly choose: string; readonly act: string }>> = {
  'count content': { choose: `and ${HAS_CONTENT}`, act: 'select from chosen' },
  'count rows': { choose: '', act: 'select from chosen' },
  content: {
    choose: `and ${HAS_CONTENT} order by id for no key update skip locked`,
    act: `update sms_usage_logs set message_content = null, sms_metadata = ${WITHOUT_CONTENT}
           where id = any(array(select id from chosen)) returning id`,
  },
  rows: {
    choose: 'order by id for update skip locked',
    act: 'delete from sms_usage_logs where id = any(array(select id from chosen)) returning id',
  },
}

/** Rows without a time (created_at is nullable) are not found. */
export async function pruneWindow(db: Db, act: PruneAct, window: PruneWindow): Promise<PrunedWindow> {
  const { rows } = await db.executeSql<{ pruned: number; position: string; id: number }>(
    `with looked as materialized (
       select id, created_at
         from sms_usage_logs
        where ${IS_OURS}
          and created_at < ${timeIn('created_at', '$1')}
          and (created_at, id) > (${timeIn('created_at', '$2', `'-infinity'`)}, coalesce($3::bigint, 0))
        order by created_at, id
        limit $4::integer),
     chosen as materialized (
       select id
         from sms_usage_logs
        where id = any(array(select id from looked)) and ${IS_OVER} ${ACTS[act].choose}),
     pruned as (${ACTS[act].act})
     select (select count(*) from pruned)::int as "pruned", created_at::text as "position", id
       from looked
      order by created_at desc, looked.id desc
      limit 1`,
    [
      window.createdBefore.toISOString(),
      window.after?.createdAt ?? null,
      window.after?.id ?? null,
      window.limit,
    ],
  )
  const [row] = rows
  if (row === undefined) return { pruned: 0, last: null }
  return { pruned: row.pruned, last: { createdAt: row.position, id: row.id } }
}
