// Statistics to judge a retry policy by: failed attempts by error code, and the outcome of the retries that followed.
import type { RetryFigures } from '../evidence/retry-cost.ts'
import { IS_OURS } from './message-row.ts'
import type { Db } from '../postgres/pool.ts'
import { castToColumnType } from './times.ts'

/** The retries with this number that followed a failure with this code. */
export interface RetryOutcome {
  readonly retry: number
  /** Retries that were made and have a known outcome. */
  readonly made: number
  readonly delivered: number
  /** The mean time from the failure to the retry's claim; null if no row has both times. */
  readonly delaySeconds: number | null
}

export interface FailureCode {
  /** Null for failures to which Twilio gave no code. */
  readonly code: number | null
  readonly attempts: number
  readonly messages: number
  /** Of these messages, the ones that were delivered in the end. */
  readonly recovered: number
  /** Ordered by the retry's number. */
  readonly retries: readonly RetryOutcome[]
  readonly cost: Omit<RetryFigures, 'recovered'>
}

/** Messages that failed, were retried or canceled. Must match the condition of their index word for word. */
export const IS_TROUBLED = `(retry_count > 0 or final_status in ('undelivered', 'failed', 'expired', 'canceled', 'retrying'))`

interface FailureRow extends Omit<FailureCode, 'retries' | 'cost'>, FailureCodeCost {
  /** Null for a failure without a following retry. */
  readonly retry: number | null
  /** True for the totals of a code over all its retries. */
  readonly isWhole: boolean
  /** Messages that the statement read in all. */
  readonly considered: number
  readonly made: number
  readonly delivered: number
  /** When a retry was claimed, and when the attempt before it had failed, as the rows store it. */
  readonly pauses: readonly (readonly [string, string])[] | null
}

interface FailureCodeCost {
  readonly costRetries: number
  readonly costSegments: number
  readonly costUnknown: number
}

/** The app may have written anything under our key: a value that is no number must not fail the statement. */
export const numberIn = (json: string): string =>
  `case when jsonb_typeof(${json}) = 'number' and (${json})::numeric between 0 and 999999999 then (${json})::numeric::int end`
/** Cut off one character after the longest valid time, so that a longer text stays invalid. */
const timeIn = (json: string): string => `left(${json}, 28)`

/** Enough to judge a policy by, and few enough for a page that also counts lost messages. */
export const MAX_READ_FAILURES = 3_000

/** Of one message, which a person may have retried a hundred times. */
const MAX_PAUSES = 20

export interface Failures {
  /** By code, the most frequent first. */
  readonly codes: readonly FailureCode[]
  /** False if only the newest messages with failures were read, because there were more. */
  readonly isComplete: boolean
}

/**
 * The CTEs `troubled` (the newest messages of the last `lastSeconds` that had trouble) and `failed` (their failed attempts,
 * each with the attempt that followed it). With `offset 0`, PostgreSQL evaluates a JSON expression once. Otherwise it
 * does so for each use, which takes twice as long.
 *
 * @param ofMessage one more column, of the message `m`
 */
export const failedAttempts = (lastSeconds: number, ofMessage?: string): string => `
     troubled as materialized (
       select id
         from sms_usage_logs
        where ${IS_OURS} and ${IS_TROUBLED}
          and created_at >= ${castToColumnType('created_at', `now() - make_interval(secs => ${lastSeconds})`)}
        order by created_at desc, id desc
        limit ${MAX_READ_FAILURES}),
     failed as (
       select *, ${numberIn('code_json')} as code, ${numberIn('retry_json')} as retry,
              ${numberIn('segments_json')} as segments
         from (
           select m.id, position, m.final_status in ('delivered', 'read') as is_recovered,
                  a -> 'error_code' as code_json, following -> 'number' as retry_json,
                  following ->> 'status' as retry_status, following -> 'segments' as segments_json,
                  ${timeIn(`following #>> '{times,submitting}'`)} as claimed_at,
                  ${timeIn(`a #>> array['times', a ->> 'status']`)} as failed_at
                  ${ofMessage === undefined ? '' : `, ${ofMessage}`}
             from troubled
             join sms_usage_logs as m using (id)
            cross join lateral (select m.sms_metadata -> 'attempts' as attempts offset 0) as stored
            cross join lateral jsonb_array_elements(case when jsonb_typeof(attempts) = 'array' then attempts end)
                  with ordinality as e (a, position)
            cross join lateral (select attempts -> position::int as following offset 0) as next
            where a ->> 'status' in ('undelivered', 'failed')
           offset 0) as stored)`

/** Of a retry that followed a failure. */
export const WAS_MADE = `retry_status <> 'pending'`

/** Counts the failures of messages that were created in the last `lastSeconds`. */
export async function countFailures(db: Db, lastSeconds: number): Promise<Failures> {
  const { rows } = await db.executeSql<FailureRow>(
    `with ${failedAttempts(lastSeconds)},
     counted as (
     select code, retry, grouping(retry) = 1 as "isWhole", count(*)::int as "attempts",
            count(distinct id)::int as "messages",
            (count(distinct id) filter (where is_recovered))::int as "recovered",
            (count(*) filter (where retry_status in ('delivered', 'read', 'undelivered', 'failed')))::int as "made",
            (count(*) filter (where retry_status in ('delivered', 'read')))::int as "delivered",
            (count(*) filter (where ${WAS_MADE}))::int as "costRetries",
            coalesce(sum(segments) filter (where ${WAS_MADE}), 0)::double precision as "costSegments",
            (count(*) filter (where ${WAS_MADE} and segments is null))::int as "costUnknown",
            case when grouping(retry) = 0 then json_agg(array[claimed_at, failed_at]) filter (
              where retry is not null and position <= ${MAX_PAUSES} and claimed_at is not null and failed_at is not null)
            end as "pauses"
       from failed
      group by grouping sets ((code), (code, retry)))
     select counted.*, looked."considered"
       from (select count(*)::int as "considered" from troubled) as looked
       left join counted on true
      order by "attempts" desc, code, retry`,
  )
  const codes = rows
    .filter(({ isWhole }) => isWhole)
    .map(({ code, attempts, messages, recovered, costRetries, costSegments, costUnknown }) => ({
      code,
      attempts,
      messages,
      recovered,
      retries: rows.flatMap((row) => (row.code === code && !row.isWhole ? toRetryOutcome(row) : [])),
      cost: { retries: costRetries, segments: costSegments, segmentsUnknown: costUnknown },
    }))
  return { codes, isComplete: (rows[0]?.considered ?? 0) < MAX_READ_FAILURES }
}

function toRetryOutcome({ retry, made, delivered, pauses }: FailureRow): RetryOutcome[] {
  if (retry === null || made === 0) return []
  return [{ retry, made, delivered, delaySeconds: meanSeconds(pauses ?? []) }]
}

/** Times are parsed here, because PostgreSQL needs nine times as long for it (two fifths of the whole statement). */
function meanSeconds(pauses: readonly (readonly [string, string])[]): number | null {
  let sum = 0
  let count = 0
  for (const [claimedAt, failedAt] of pauses) {
    const seconds = secondsBetween(failedAt, claimedAt)
    if (seconds === null) continue
    sum += seconds
    count += 1
  }
  return count === 0 ? null : sum / count
}

/** The seconds between two times of a row; null if one of them is no time. */
export function secondsBetween(from: string, to: string): number | null {
  const [fromMs, toMs] = [readMs(from), readMs(to)]
  return fromMs === null || toMs === null ? null : (toMs - fromMs) / 1000
}

const TIME = /^([1-9]\d{3})-(0[1-9]|1[0-2])-(\d\d)T([01]\d|2[0-3]):([0-5]\d):([0-5]\d(?:\.\d{1,6})?)Z$/

/** A day that the month does not have counts as a day of the next month. */
function readMs(text: string): number | null {
  const [, year, month, day, hours, minutes, seconds] = TIME.exec(text) ?? []
  if (year === undefined) return null
  const startMs = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hours), Number(minutes))
  return startMs + Number(seconds) * 1000
}
