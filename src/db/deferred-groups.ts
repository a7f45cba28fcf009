// Reads the messages whose next attempt is due later, grouped by what decides on their send window.
import type { Message } from '../delivery/message.ts'
import { isTimeZone } from '../delivery/time-on-clock.ts'
import { DUE_AT, IS_WAITING } from './backlog.ts'
import { IS_IN_FLIGHT, IS_OURS, toSendWindow } from './message-row.ts'
import type { Db } from '../postgres/pool.ts'
import { iso } from './times.ts'

/** Messages with the same window, and recipients in the same area. */
export interface DeferredGroup extends Pick<Message, 'to' | 'sendWindow' | 'timeZone'> {
  readonly messages: number
}

/** Plus sign and four digits: in North America the area code, elsewhere the country at least. */
const AREA_LENGTH = 5

interface GroupRow {
  readonly to: string
  readonly sendWindow: string | null
  readonly timeZone: string | null
  readonly messages: number
}

/**
 * Leaves out messages that may be sent at any time, and those that the app asked to send later. `to` is one of the
 * numbers of the area.
 *
 * @param hasDefault whether messages without a window of their own have one
 */
export async function readDeferredGroups(
  db: Db,
  hasDefault: boolean,
): Promise<{ readonly groups: readonly DeferredGroup[]; readonly now: Date }> {
  const { rows } = await db.executeSql<GroupRow & { readonly now: Date }>(
    `select min(phone_number) as "to", send_window as "sendWindow", time_zone as "timeZone",
            count(*)::int as "messages", now() as "now"
       from (select phone_number, sms_metadata ->> 'send_window' as send_window, sms_metadata ->> 'time_zone' as time_zone
               from sms_usage_logs
              where ${IS_IN_FLIGHT} and ${IS_OURS} and ${IS_WAITING} and ${DUE_AT} > now() and ${DUE_AT} < 'infinity'
                and coalesce(sms_metadata ->> 'send_after', '') collate "C" <= ${iso('now()')}) as deferred
      where coalesce(send_window <> 'any', $1::boolean)
      group by send_window, time_zone, left(phone_number, ${AREA_LENGTH})`,
    [hasDefault],
  )
  return {
    groups: rows.map(({ to, sendWindow, timeZone, messages }) => ({
      to,
      sendWindow: toSendWindow(sendWindow),
      timeZone: timeZone !== null && isTimeZone(timeZone) ? timeZone : null,
      messages,
    })),
    now: rows[0]?.now ?? new Date(),
  }
}
