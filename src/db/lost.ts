// Messages that were lost: final without being delivered, and not canceled. They are counted by the error code of their
// latest failure and by time.
import { DELIVERY_STATUSES, isFailure, isFinal } from '../delivery/status.ts'
import { numberIn } from './failures.ts'
import { IS_OURS, listOf } from './message-row.ts'
import type { Span } from './overview.ts'
import type { Db } from '../postgres/pool.ts'
import { castToColumnType } from './times.ts'

export interface LostGroup {
  /** Twilio's code of the latest failure; null if no attempt failed with a code. */
  readonly code: number | null
  /** Whether the deadline of these messages passed. */
  readonly isExpired: boolean
  /** The number of the part of the span: the seconds since 1970 divided by the length of a part. */
  readonly part: number
  readonly messages: number
}

export interface Lost {
  readonly groups: readonly LostGroup[]
  /** False if only the newest lost messages were read, because there were more. */
  readonly isComplete: boolean
}

/** Their rows are read, because the index does not have the code. */
export const MAX_LOST = 2_000

const LOST = DELIVERY_STATUSES.filter((status) => isFailure(status) && isFinal(status))

/** As `latestCode` of delivery/outcome.ts. The last attempt nearly always has it. */
const LATEST_CODE = `coalesce(
  ${numberIn('last_code')},
  (select code
     from jsonb_array_elements(case when jsonb_typeof(attempts) = 'array' then attempts end)
          with ordinality as e (a, position)
    cross join lateral (select ${numberIn(`a -> 'error_code'`)} as code) as c
    where code is not null
    order by position desc
    limit 1))`

/**
 * Counts the lost messages that were created in the span, or in the equally long one before it. A message with a future
 * time counts as of now.
 */
export async function countLost(
  db: Db,
  { seconds, bucketSeconds }: Span,
  which: 'this' | 'before' = 'this',
): Promise<Lost> {
  const ago = (spans: number): string =>
    castToColumnType('created_at', `now() - make_interval(secs => ${spans * seconds})`)
  const { rows } = await db.executeSql<LostGroup>(
    `with lost as materialized (
       select id, created_at
         from sms_usage_logs
        where ${IS_OURS} and final_status in (${listOf(LOST)})
          and ${which === 'this' ? `created_at >= ${ago(1)}` : `created_at >= ${ago(2)} and created_at < ${ago(1)}`}
        order by created_at desc, id desc
        limit ${MAX_LOST})
     select ${LATEST_CODE} as "code", is_expired as "isExpired", part, count(*)::int as "messages"
       from (
         select attempts, attempts #> '{-1,error_code}' as last_code, m.final_status = 'expired' as is_expired,
                floor(extract(epoch from least(lost.created_at, ${ago(0)})) / ${bucketSeconds})::int as part
           from lost
           join sms_usage_logs as m using (id)
          cross join lateral (select m.sms_metadata -> 'attempts' as attempts offset 0) as stored
         offset 0) as read
      group by 1, 2, 3`,
  )
  const read = rows.reduce((sum, { messages }) => sum + messages, 0)
  return { groups: rows, isComplete: read < MAX_LOST }
}

/** The number of messages for each key, the largest first; equal numbers keep the order of the groups. */
export function sumBy<Key>(groups: readonly LostGroup[], keyOf: (group: LostGroup) => Key): Map<Key, number> {
  const sums = new Map<Key, number>()
  for (const group of groups) sums.set(keyOf(group), (sums.get(keyOf(group)) ?? 0) + group.messages)
  return new Map([...sums].toSorted(([, one], [, other]) => other - one))
}
