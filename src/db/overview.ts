// Figures over many messages, read off the index over their times: an index entry has all that is counted.
import { DELIVERY_STATUSES, isDelivered, isFailure, isFinal } from '../delivery/status.ts'
import { IS_OURS } from './message-row.ts'
import { readClock } from './overdue.ts'
import type { Db } from './pool.ts'

export interface Overview {
  readonly messages: number
  readonly deliveredAtFirst: number
  readonly deliveredByRetry: number
  /** undelivered, failed, expired */
  readonly failed: number
  /** Those of them that had a retry. */
  readonly failedAfterRetry: number
  readonly canceled: number
  /** Waiting for a retry. */
  readonly retrying: number
  /** Not final, in whatever way. */
  readonly inFlight: number
  /** Messages with at least one retry, and how many retries they had in all. */
  readonly retried: number
  readonly retries: number
}

/** The messages that were created in a part of the time. */
export interface Bucket extends Overview {
  readonly start: Date
}

/** The messages of the last so many seconds, in parts of so many seconds. */
export interface Span {
  readonly seconds: number
  readonly bucketSeconds: number
}

/** Counts the messages that sms-retry manages: those created in the last so many seconds, or all. */
export async function countMessages(db: Db, lastSeconds: number | null = null): Promise<Overview> {
  return sum(await readGroups(db, lastSeconds, null))
}

/** The same for a span, as a whole and part by part; the first and the last part are cut off by the span. */
export async function countMessagesByTime(
  db: Db,
  { seconds, bucketSeconds }: Span,
): Promise<{ readonly whole: Overview; readonly buckets: readonly Bucket[] }> {
  const now = await readClock(db)
  const groups = await readGroups(db, seconds, bucketSeconds)
  const ofBucket = Map.groupBy(groups, ({ bucket }) => bucket)
  const startOf = (time: number): number => Math.floor(time / bucketSeconds) * bucketSeconds
  const buckets: Bucket[] = []
  const end = startOf(now.getTime() / 1000)
  for (let start = startOf(now.getTime() / 1000 - seconds); start <= end; start += bucketSeconds) {
    buckets.push({ start: new Date(start * 1000), ...sum(ofBucket.get(start) ?? []) })
  }
  return { whole: sum(groups), buckets }
}

interface Group {
  /** Seconds since 1970; 0 if everything is one part. */
  readonly bucket: number
  readonly status: string
  readonly retries: number
  readonly messages: number
}

/**
 * A message of a time to come (an app that writes local time) counts as one of now. The numbers are written into the
 * text: with parameters, PostgreSQL would go over to a plan that does not know how long the span is.
 */
async function readGroups(
  db: Db,
  lastSeconds: number | null,
  bucketSeconds: number | null,
): Promise<Group[]> {
  const { rows } = await db.executeSql<Group>(
    `select ${bucketSeconds === null ? '0' : 'extract(epoch from start)::int'} as "bucket",
            coalesce(final_status, 'unknown') as "status", coalesce(retry_count, 0) as "retries", "messages"
       from (
         select ${bucketSeconds === null ? 'null' : `date_bin('${bucketSeconds} s', least(created_at, now() at time zone 'UTC'), '1970-01-01')`} as start,
                final_status, retry_count, count(*)::int as "messages"
           from sms_usage_logs
          where ${IS_OURS} and ${lastSeconds === null ? 'true' : `created_at >= (now() at time zone 'UTC') - interval '${lastSeconds} s'`}
          group by 1, 2, 3) as g`,
  )
  return rows
}

const DELIVERED: readonly string[] = DELIVERY_STATUSES.filter(isDelivered)
const FAILED: readonly string[] = DELIVERY_STATUSES.filter((status) => isFailure(status) && isFinal(status))

function sum(groups: readonly Group[]): Overview {
  const count = (isCounted: (group: Group) => boolean): number =>
    groups.reduce((total, group) => total + (isCounted(group) ? group.messages : 0), 0)
  const gotThrough = ({ status }: Group): boolean => DELIVERED.includes(status)
  const isFailed = ({ status }: Group): boolean => FAILED.includes(status)
  const isCanceled = ({ status }: Group): boolean => status === 'canceled'
  return {
    messages: count(() => true),
    deliveredAtFirst: count((group) => gotThrough(group) && group.retries === 0),
    deliveredByRetry: count((group) => gotThrough(group) && group.retries > 0),
    failed: count(isFailed),
    failedAfterRetry: count((group) => isFailed(group) && group.retries > 0),
    canceled: count(isCanceled),
    retrying: count(({ status }) => status === 'retrying'),
    inFlight: count((group) => !gotThrough(group) && !isFailed(group) && !isCanceled(group)),
    retried: count(({ retries }) => retries > 0),
    retries: groups.reduce((total, { retries, messages }) => total + retries * messages, 0),
  }
}
