// Why messages fail, and what retries make of it: the failed attempts of a span by error code, each with what became of
// the retry that followed it. So a retry policy can be judged by what it has done.
import { IS_OURS } from './message-row.ts'
import type { Db } from './pool.ts'

/** The retries with this number that followed a failure with this code. */
export interface RetryOutcome {
  readonly retry: number
  /** Retries that were made and whose outcome is known. */
  readonly made: number
  readonly delivered: number
  /** The mean time between the failure and the retry's claim; null if no row tells. */
  readonly delaySeconds: number | null
}

export interface FailureCode {
  /** Null for failures to which Twilio gave no code. */
  readonly code: number | null
  readonly attempts: number
  readonly messages: number
  /** Messages among them that were delivered in the end. */
  readonly recovered: number
  /** In the order of the retries' numbers. */
  readonly retries: readonly RetryOutcome[]
}

/** Messages to which something has happened that is not in the ordinary way; the index over their times tells. */
export const IS_TROUBLED = `(retry_count > 0 or final_status in ('undelivered', 'failed', 'expired', 'canceled', 'retrying'))`

interface FailureRow extends Omit<FailureCode, 'retries'> {
  /** Null for a failure that no retry followed. */
  readonly retry: number | null
  /** True for the row over all retries of a code. */
  readonly isWhole: boolean
  /** Messages that were looked at in all. */
  readonly considered: number
  readonly made: number
  readonly delivered: number
  readonly delaySeconds: number | null
}

/** What others have written under our key is not to end the whole count. */
const numberIn = (json: string): string =>
  `case when jsonb_typeof(${json}) = 'number' and (${json})::numeric between 0 and 999999999 then (${json})::numeric::int end`
/** The day is added, so that no text that looks like a time is a day that there is not. */
const timeIn = (json: string): string =>
  `case when ${json} ~ '^[1-9]\\d{3}-(0[1-9]|1[0-2])-\\d\\dT([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?Z$'
             then (substr(${json}, 1, 8) || '01' || substr(${json}, 11))::timestamptz
                  + (substr(${json}, 9, 2)::int - 1) * interval '1 day' end`

/** Enough to judge a policy by, and as many as can be read while somebody waits. */
export const MOST_CONSIDERED = 5_000

export interface Failures {
  /** By code, the most frequent first. */
  readonly codes: readonly FailureCode[]
  /** False if there were more messages with trouble than were read: then they are the newest ones. */
  readonly isComplete: boolean
}

/** Of messages created in the last so many seconds. */
export async function countFailures(db: Db, lastSeconds: number): Promise<Failures> {
  const { rows } = await db.executeSql<FailureRow>(
    `with troubled as materialized (
       select id
         from sms_usage_logs
        where ${IS_OURS} and ${IS_TROUBLED}
          and created_at >= (now() at time zone 'UTC') - interval '${lastSeconds} s'
        order by created_at desc, id desc
        limit ${MOST_CONSIDERED}),
     failed as (
       select m.id, ${numberIn(`a -> 'error_code'`)} as code,
              ${numberIn(`following -> 'number'`)} as retry, following ->> 'status' as retry_status,
              m.final_status in ('delivered', 'read') as is_recovered,
              extract(epoch from ${timeIn(`(following #>> '{times,submitting}')`)}
                               - ${timeIn(`(a #>> array['times', a ->> 'status'])`)}) as delay
         from troubled
         join sms_usage_logs as m using (id)
        cross join lateral jsonb_array_elements(
          case when jsonb_typeof(m.sms_metadata -> 'attempts') = 'array' then m.sms_metadata -> 'attempts' end)
              with ordinality as e (a, position)
        cross join lateral (select m.sms_metadata -> 'attempts' -> e.position::int as following) as n
        where a ->> 'status' in ('undelivered', 'failed')),
     counted as (
     select code, retry, grouping(retry) = 1 as "isWhole", count(*)::int as "attempts",
            count(distinct id)::int as "messages",
            (count(distinct id) filter (where is_recovered))::int as "recovered",
            (count(*) filter (where retry_status in ('delivered', 'read', 'undelivered', 'failed')))::int as "made",
            (count(*) filter (where retry_status in ('delivered', 'read')))::int as "delivered",
            avg(delay)::double precision as "delaySeconds"
       from failed
      group by grouping sets ((code), (code, retry)))
     select counted.*, looked."considered"
       from (select count(*)::int as "considered" from troubled) as looked
       left join counted on true
      order by "attempts" desc, code, retry`,
  )
  const codes = rows
    .filter(({ isWhole }) => isWhole)
    .map(({ code, attempts, messages, recovered }) => ({
      code,
      attempts,
      messages,
      recovered,
      retries: rows.flatMap((row) => (row.code === code && !row.isWhole ? toRetryOutcome(row) : [])),
    }))
  return { codes, isComplete: (rows[0]?.considered ?? 0) < MOST_CONSIDERED }
}

function toRetryOutcome({ retry, made, delivered, delaySeconds }: FailureRow): RetryOutcome[] {
  return retry === null || made === 0 ? [] : [{ retry, made, delivered, delaySeconds }]
}
