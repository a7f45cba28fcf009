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
  const from = lastSeconds === null ? null : secondsBefore(await readClock(db), lastSeconds)
  return sum(await readGroups(db, [{ start: 0, from, to: null }]))
}

/** The same for a span, as a whole and part by part; the first and the last part are cut off by the span. */
export async function countMessagesByTime(
  db: Db,
  span: Span,
): Promise<{ readonly whole: Overview; readonly buckets: readonly Bucket[] }> {
  const parts = partsOf(span, await readClock(db))
  const groups = await readGroups(db, parts)
  const ofPart = Map.groupBy(groups, ({ start }) => start)
  const buckets = parts.map(({ start }) => ({
    start: new Date(start * 1000),
    ...sum(ofPart.get(start) ?? []),
  }))
  return { whole: sum(groups), buckets }
}

interface Part {
  /** Seconds since 1970. */
  readonly start: number
  readonly from: Date | null
  /** Exclusive. */
  readonly to: Date | null
}

/** A message of a time to come (an app that writes local time) counts as one of now: the last part has no end. */
function partsOf({ seconds, bucketSeconds }: Span, now: Date): Part[] {
  const since = secondsBefore(now, seconds)
  const startOf = (time: Date): number => Math.floor(time.getTime() / 1000 / bucketSeconds) * bucketSeconds
  const parts: Part[] = []
  for (let start = startOf(since), last = startOf(now); start <= last; start += bucketSeconds) {
    const from = parts.length === 0 ? since : new Date(start * 1000)
    parts.push({ start, from, to: start === last ? null : new Date((start + bucketSeconds) * 1000) })
  }
  return parts
}

const secondsBefore = (time: Date, seconds: number): Date => new Date(time.getTime() - seconds * 1000)

interface Group {
  /** Of the part. */
  readonly start: number
  readonly status: string
  readonly retries: number
  readonly messages: number
}

/**
 * Each part by a range of the index of its own: to reckon out of each time which part it belongs to would take longer
 * than all the rest, and would leave PostgreSQL in the dark about how many groups there will be, so that it would not
 * share the work among its processes. The times are written into the text: with parameters, it would go over to a plan
 * that does not know how long a part is.
 */
async function readGroups(db: Db, parts: readonly Part[]): Promise<Group[]> {
  const { rows } = await db.executeSql<Group>(
    parts
      .map(
        ({ start, from, to }) =>
          `(select ${start}::int as "start", coalesce(final_status, 'unknown') as "status",
                   coalesce(retry_count, 0) as "retries", count(*)::int as "messages"
              from sms_usage_logs
             where ${IS_OURS} ${from === null ? '' : `and created_at >= ${timestamp(from)}`}
                   ${to === null ? '' : `and created_at < ${timestamp(to)}`}
             group by final_status, retry_count)`,
      )
      .join(' union all '),
  )
  return rows
}

const timestamp = (time: Date): string => `timestamp '${time.toISOString().replace('Z', '')}'`

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
