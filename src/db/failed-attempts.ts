// Failed attempts and the retries that followed them: the figures of all error codes, and every attempt of one code.
import { failedAttempts, MAX_READ_FAILURES, WAS_MADE } from './failures.ts'
import { IS_OURS } from './message-row.ts'
import { type StoredMessage, STORED_COLUMNS, type StoredRow, toStoredMessage } from './messages.ts'
import type { Db } from '../postgres/pool.ts'

/** What the failures with one code led to. */
export interface CodeFigures {
  /** Null for failures to which Twilio gave no code. */
  readonly code: number | null
  readonly attempts: number
  readonly messages: number
  /** Of these messages, the ones that were delivered in the end. */
  readonly recovered: number
  /** Retries that were made after such a failure, whatever came of them. */
  readonly retries: number
  /** The segments that Twilio billed for these retries, as far as they are known. */
  readonly segments: number
  /** Of these retries, the ones whose segments are unknown. */
  readonly segmentsUnknown: number
}

export interface AllCodeFigures {
  readonly codes: readonly CodeFigures[]
  /** False if only the newest messages with failures were read, because there were more. */
  readonly isComplete: boolean
}

/** Of one code. A person may have retried each message a hundred times. */
const MAX_READ_ATTEMPTS = 50_000

/** Of the messages that were created in the last `lastSeconds`. */
export async function readCodeFigures(db: Db, lastSeconds: number): Promise<AllCodeFigures> {
  const { rows } = await db.executeSql<CodeFigures & { readonly considered: number }>(
    `with ${failedAttempts(lastSeconds)},
     of_message as (
       select code, id, is_recovered, count(*) as attempts, count(*) filter (where ${WAS_MADE}) as retries,
              sum(segments) filter (where ${WAS_MADE}) as segments,
              count(*) filter (where ${WAS_MADE} and segments is null) as segments_unknown
         from failed
        group by code, id, is_recovered),
     counted as (
       select code, sum(attempts)::int as "attempts", count(*)::int as "messages",
              (count(*) filter (where is_recovered))::int as "recovered", sum(retries)::int as "retries",
              coalesce(sum(segments), 0)::double precision as "segments",
              sum(segments_unknown)::int as "segmentsUnknown"
         from of_message
        group by code)
     select counted.*, looked."considered"
       from (select count(*)::int as "considered" from troubled) as looked
       left join counted on true`,
  )
  return {
    codes: rows.flatMap(({ considered: _, ...figures }) => (figures.attempts === null ? [] : [figures])),
    isComplete: (rows[0]?.considered ?? 0) < MAX_READ_FAILURES,
  }
}

/** An attempt that failed with the code, and the retry that followed it. */
export interface FailedAttempt {
  readonly id: number
  readonly isRecovered: boolean
  /** The first characters of the recipient's number, enough for a calling code: `+447`. */
  readonly prefix: string
  /** As the row stores it. */
  readonly failedAt: string | null
  /** Null if none was made. */
  readonly retry: FollowingRetry | null
}

export interface FollowingRetry {
  readonly number: number | null
  readonly status: string
  readonly claimedAt: string | null
  readonly segments: number | null
}

interface FailedAttemptRow extends Omit<FailedAttempt, 'retry'> {
  readonly number: number | null
  readonly status: string | null
  readonly claimedAt: string | null
  readonly segments: number | null
}

/** The attempts that failed with the code, of the newest messages with failures that were created in the last seconds. */
export async function readFailedAttempts(
  db: Db,
  code: number | null,
  lastSeconds: number,
): Promise<{ readonly attempts: readonly FailedAttempt[]; readonly isComplete: boolean }> {
  const { rows } = await db.executeSql<FailedAttemptRow & { readonly considered: number }>(
    `with ${failedAttempts(lastSeconds, 'left(m.phone_number, 4) as prefix')}
     select looked."considered", id, is_recovered as "isRecovered", prefix, failed_at as "failedAt",
            retry as "number", case when ${WAS_MADE} then retry_status end as "status", claimed_at as "claimedAt", segments
       from (select count(*)::int as "considered" from troubled) as looked
       left join failed on code is not distinct from $1::integer
      order by id desc, position
      limit ${MAX_READ_ATTEMPTS}`,
    [code],
  )
  return {
    attempts: rows.flatMap((row) => (row.id === null ? [] : [toFailedAttempt(row)])),
    isComplete: (rows[0]?.considered ?? 0) < MAX_READ_FAILURES && rows.length < MAX_READ_ATTEMPTS,
  }
}

function toFailedAttempt(row: FailedAttemptRow): FailedAttempt {
  const { id, isRecovered, prefix, failedAt, number, status, claimedAt, segments } = row
  return {
    id: Number(id),
    isRecovered,
    prefix,
    failedAt,
    retry: status === null ? null : { number, status, claimedAt, segments },
  }
}

/** The messages with these ids, the newest first. */
export async function readMessages(db: Db, ids: readonly number[]): Promise<StoredMessage[]> {
  const { rows } = await db.executeSql<StoredRow>(
    `select ${STORED_COLUMNS} from sms_usage_logs where id = any($1::bigint[]) and ${IS_OURS} order by created_at desc, id desc`,
    [ids],
  )
  return rows.map(toStoredMessage)
}
