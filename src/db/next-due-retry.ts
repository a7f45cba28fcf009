// The statements with which one worker at a time watches for the next due retry.
import type { Db } from '../postgres/pool.ts'
import { castToColumnType } from './times.ts'

/**
 * Acquires or extends the watch for `seconds`, unless another worker has it.
 *
 * @returns whether `holder` has it
 */
export async function takeWatch(db: Db, holder: string, seconds: number): Promise<boolean> {
  // A watch that is held for longer than `seconds` means that the clock of the database was set back.
  const { rows } = await db.executeSql(
    `insert into sms_retry.due_watch as watch (holder, held_until)
     values ($1::uuid, clock_timestamp() + make_interval(secs => $2::double precision))
     on conflict (only_row) do update
        set holder = excluded.holder, held_until = excluded.held_until
      where watch.holder = excluded.holder
         or watch.held_until not between clock_timestamp() and excluded.held_until
     returning true as "isOurs"`,
    [holder, seconds],
  )
  return rows.length > 0
}

/**
 * Milliseconds until the next retry is due; negative if it became due just now. Null if there is none. Uses the index over
 * failed messages. Retries that are overdue for longer are left to the sweep.
 */
export async function nextDueMs(db: Db): Promise<number | null> {
  const { rows } = await db.executeSql<{ ms: number }>(
    `select ((extract(epoch from next_retry_at) - extract(epoch from now())) * 1000)::double precision as "ms"
       from sms_usage_logs
      where success = false and next_retry_at > ${castToColumnType('next_retry_at', `now() - interval '500 ms'`)}
      order by next_retry_at
      limit 1`,
  )
  return rows[0]?.ms ?? null
}
