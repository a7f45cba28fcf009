// The statements with which all workers share one rate limit: each reserves the next slots for its attempts. (GCRA, the
// generic cell rate algorithm, without a burst.)
import { MAX_RESERVED_SECONDS } from '../delivery/health-finding.ts'
import type { Db } from '../postgres/pool.ts'

/**
 * Reserves `attempts` slots of `1 / perSecond` seconds each.
 *
 * @returns seconds until the first of them
 */
export async function reserveSends(db: Db, attempts: number, perSecond: number): Promise<number> {
  const seconds = attempts / perSecond
  // A time further ahead than workers reserve means that the clock of the database was set back.
  const { rows } = await db.executeSql<{ wait: number }>(
    `insert into sms_retry.send_rate as rate (next_at)
     values (clock_timestamp() + make_interval(secs => $1::double precision))
     on conflict (only_row) do update
        set next_at = case when rate.next_at between clock_timestamp() and clock_timestamp() + interval '${MAX_RESERVED_SECONDS} s'
                           then rate.next_at else clock_timestamp() end
                      + make_interval(secs => $1::double precision)
     returning greatest(0, extract(epoch from next_at - clock_timestamp()) - $1::double precision)::double precision
               as "wait"`,
    [seconds],
  )
  const [row] = rows
  if (row === undefined) throw new Error('the rate gave no row')
  return row.wait
}

/** The end of the latest reservation. Without SEND_RATE_PER_SECOND, it is the time of the installation. */
export async function readReservedUntil(db: Db): Promise<Date | null> {
  const { rows } = await db.executeSql<{ nextAt: Date }>(
    `select next_at as "nextAt" from sms_retry.send_rate`,
  )
  return rows[0]?.nextAt ?? null
}
