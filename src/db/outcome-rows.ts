// Reads what an outcome takes from the row of its message when it is delivered.
import type { Db } from '../postgres/pool.ts'
import { OWN_METADATA_KEYS } from './message-row.ts'

export interface OutcomeRow {
  readonly id: number
  /** The random key of the message, because ids can repeat. */
  readonly key: string | null
  readonly idempotencyKey: string | null
  readonly userId: number | string | null
  /** The app's own keys of `sms_metadata`. */
  readonly metadata: Readonly<Record<string, unknown>>
}

/** The rows of these messages that still exist. */
export async function readOutcomeRows(db: Db, ids: readonly number[]): Promise<OutcomeRow[]> {
  const { rows } = await db.executeSql<OutcomeRow>(
    `select id as "id", sms_metadata ->> 'callback_key' as "key", sms_metadata ->> 'idempotency_key' as "idempotencyKey",
            user_id as "userId",
            case when jsonb_typeof(sms_metadata) = 'object' then sms_metadata - $2::text[] else '{}'::jsonb end as "metadata"
       from sms_usage_logs
      where id = any($1::bigint[])`,
    [ids, OWN_METADATA_KEYS],
  )
  return rows.map((row) => ({ ...row, id: Number(row.id) }))
}
