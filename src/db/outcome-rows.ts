// Reads what an outcome takes from the row of its message when it is delivered.
import type { Db } from '../postgres/pool.ts'
import { APP_METADATA, TRACEPARENT_COLUMN } from './message-row.ts'
import type { StoredMessage } from './messages.ts'

export interface OutcomeRow extends Pick<StoredMessage, 'id' | 'userId' | 'idempotencyKey' | 'metadata'> {
  /** The random key of the message, because ids can repeat. */
  readonly key: string | null
  /** See `LockedMessage`. */
  readonly traceparent: string | null
}

/** The rows of these messages that still exist. */
export async function readOutcomeRows(db: Db, ids: readonly number[]): Promise<OutcomeRow[]> {
  const { rows } = await db.executeSql<OutcomeRow>(
    `select id as "id", sms_metadata ->> 'callback_key' as "key", sms_metadata ->> 'idempotency_key' as "idempotencyKey",
            user_id as "userId",
            ${APP_METADATA} as "metadata", ${TRACEPARENT_COLUMN}
       from sms_usage_logs
      where id = any($1::bigint[])`,
    [ids],
  )
  return rows.map((row) => ({ ...row, id: Number(row.id) }))
}
