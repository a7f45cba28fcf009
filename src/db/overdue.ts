// The statements that find overdue messages, and the messages that an entry of Twilio's message list may belong to.
import type { Message } from '../delivery/message.ts'
import { IS_IN_FLIGHT, IS_OURS, MESSAGE_COLUMNS, type MessageRow, toMessage } from './message-row.ts'
import type { Db } from '../postgres/pool.ts'
import { iso } from './times.ts'

export interface OverdueMessage {
  readonly message: Message
  /** The database's clock. */
  readonly now: Date
}

/** Must match the index word for word, or it is not used. */
const RECONCILE_AT = `coalesce(sms_metadata ->> 'reconcile_at', '') collate "C"`
/** False for a message that is set aside or no longer reconciled: its value sorts after every time. */
export const IS_RECONCILED = `${RECONCILE_AT} < '9999'`
const MAY_BE_OVERDUE = `${IS_IN_FLIGHT}
        and message_direction <> 'inbound' and ${IS_RECONCILED}`

/** The messages that are due to be reconciled, except those in `except`; the longest overdue first. */
export async function findOverdue(
  db: Db,
  limit: number,
  except: readonly number[] = [],
): Promise<OverdueMessage[]> {
  const { rows } = await db.executeSql<MessageRow & { now: Date }>(
    `select ${MESSAGE_COLUMNS}, now() as "now"
       from sms_usage_logs
      where ${MAY_BE_OVERDUE} and ${RECONCILE_AT} <= ${iso('now()')} and id <> all($2::bigint[])
      order by ${RECONCILE_AT}
      limit $1::integer`,
    [limit, except],
  )
  return rows.map((row) => ({ message: toMessage(row), now: row.now }))
}

export async function readClock(db: Db): Promise<Date> {
  const { rows } = await db.executeSql<{ now: Date }>('select clock_timestamp() as "now"')
  const [row] = rows
  if (row === undefined) throw new Error('The database returned no row for its clock')
  return row.now
}

/** If more messages match, the search cannot decide, and the attempt stays in doubt. */
const MAX_OTHERS = 1000

/**
 * The other messages that have one of the sids in any attempt, and those to the same number with an attempt claimed
 * after `since`. Leaves out messages that were delivered at the first attempt.
 */
export async function findOthers(
  db: Db,
  { messageId, to, since, sids }: { messageId: number; to: string; since: Date; sids: readonly string[] },
): Promise<Message[]> {
  const { rows } = await db.executeSql<MessageRow>(
    `select ${MESSAGE_COLUMNS}
       from sms_usage_logs
      where id <> $1::bigint and ${IS_OURS}
        and (twilio_message_sid = any($4::text[])
             or phone_number = $2::text
                and (retry_count > 0 or final_status in ('submitting', 'failed', 'canceled', 'expired'))
                and jsonb_path_exists(
                      sms_metadata,
                      '$.attempts[*] ? (@.sid == $sids[*] || @.times.submitting >= $since)',
                      jsonb_build_object('sids', $4::text[], 'since', $3::text)))
      limit ${MAX_OTHERS + 1}`,
    [messageId, to, since.toISOString(), sids],
  )
  return rows.map(toMessage)
}

/** True if there are too many to compare. */
export function areTooMany(others: readonly Message[]): boolean {
  return others.length > MAX_OTHERS
}
