// Figures over many messages.
import { IS_OURS } from './message-row.ts'
import type { Db } from './pool.ts'

export interface Overview {
  readonly messages: number
  readonly deliveredAtFirst: number
  readonly deliveredByRetry: number
  /** undelivered, failed, expired */
  readonly failed: number
  readonly canceled: number
  /** Waiting for a retry. */
  readonly retrying: number
  /** Not final, in whatever way. */
  readonly inFlight: number
  /** Messages with at least one retry, and how many retries they had in all. */
  readonly retried: number
  readonly retries: number
}

/** Counts the messages that sms-retry manages. Reads the whole table. */
export async function countMessages(db: Db): Promise<Overview> {
  const { rows } = await db.executeSql<Overview>(
    `with message as (
       select coalesce(final_status, 'unknown') as status, coalesce(retry_count, 0) as retries
         from sms_usage_logs
        where ${IS_OURS})
     select count(*)::int as "messages",
            (count(*) filter (where status in ('delivered', 'read') and retries = 0))::int as "deliveredAtFirst",
            (count(*) filter (where status in ('delivered', 'read') and retries > 0))::int as "deliveredByRetry",
            (count(*) filter (where status in ('undelivered', 'failed', 'expired')))::int as "failed",
            (count(*) filter (where status = 'canceled'))::int as "canceled",
            (count(*) filter (where status = 'retrying'))::int as "retrying",
            (count(*) filter (where status not in
              ('delivered', 'read', 'undelivered', 'failed', 'expired', 'canceled')))::int as "inFlight",
            (count(*) filter (where retries > 0))::int as "retried",
            coalesce(sum(retries), 0)::int as "retries"
       from message`,
  )
  const [overview] = rows
  if (overview === undefined) throw new Error('count(*) gave no row')
  return overview
}
