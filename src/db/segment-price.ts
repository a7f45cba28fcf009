// What a segment costs on this account. A lookup learns the price of an attempt, and status callbacks do not state it, so few
// attempts have one.
import type { SegmentPrice } from '../evidence/retry-cost.ts'
import { IS_OURS } from './message-row.ts'
import type { Db } from '../postgres/pool.ts'
import { castToColumnType } from './times.ts'

/** The newest messages, whose attempts are read. */
const MAX_READ = 5_000

/**
 * The app may have written anything under our key: a number can be too small for `double precision`.
 *
 * @returns null if no attempt of the newest messages of the last `lastSeconds` has both segments and a price
 */
export async function readSegmentPrice(db: Db, lastSeconds: number): Promise<SegmentPrice | null> {
  const { rows } = await db.executeSql<SegmentPrice>(
    `with newest as materialized (
       select id
         from sms_usage_logs
        where ${IS_OURS}
          and created_at >= ${castToColumnType('created_at', `now() - make_interval(secs => ${lastSeconds})`)}
        order by created_at desc, id desc
        limit ${MAX_READ}),
     billed as (
       select attempt ->> 'price_unit' as unit, (attempt ->> 'price')::double precision as price,
              (attempt ->> 'segments')::double precision as segments
         from newest
         join sms_usage_logs as m using (id)
        cross join lateral jsonb_path_query(m.sms_metadata,
          '$.attempts[*] ? ((@.price == 0 || @.price >= 1e-9) && @.price < 1000 && @.segments >= 1 && @.segments <= 1000 && @.price_unit like_regex "^[A-Z]{3}$")') as attempt)
     select unit as "unit", sum(price) / sum(segments) as "amount", count(*)::int as "attempts"
       from billed
      group by unit
      order by count(*) desc, unit
      limit 1`,
  )
  return rows[0] ?? null
}
