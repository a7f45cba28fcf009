// Counts over many messages. The index over their times has all columns that are counted.
import { DELIVERY_STATUSES, isDelivered, isFailure, isFinal } from '../delivery/status.ts'
import { addSeconds } from '../delivery/seconds.ts'
import { MAX_ATTEMPTS } from '../delivery/transitions.ts'
import { IS_OURS } from './message-row.ts'
import { readClock } from './overdue.ts'
import type { Db } from '../postgres/pool.ts'

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
  /** Not final. */
  readonly inFlight: number
  /** Messages with at least one retry, and how many retries they had in all. */
  readonly retried: number
  readonly retries: number
}

/** The messages that were created in one part of a span. */
export interface Bucket extends Overview {
  readonly start: Date
}

/** The last `seconds`, in parts of `bucketSeconds`. */
export interface Span {
  readonly seconds: number
  readonly bucketSeconds: number
}

/** Counts the messages that sms-retry manages: those created in the last `lastSeconds`, or all. */
export async function countMessages(db: Db, lastSeconds: number | null = null): Promise<Overview> {
  const from = lastSeconds === null ? null : addSeconds(await readClock(db), -lastSeconds)
  return sum(await readGroups(db, [{ from, to: null }]))
}

/** The messages of a span, as a whole and by part. The span may cut off the first and the last part. */
export interface CountsByTime {
  readonly whole: Overview
  readonly buckets: readonly Bucket[]
  /** The messages that were delivered by this retry, ordered by its number. */
  readonly recoveredBy: readonly { readonly retry: number; readonly messages: number }[]
}

/** Counts of parts that were read before, by the length and the start of the part. Kept by the caller. */
export type KeptCounts = Map<string, { readonly groups: readonly Group[]; readonly readAtMs: number }>

/** A part that ended before this time hardly changes. */
const SETTLED_AFTER_SECONDS = 86_400
/** How old the counts of such a part may become. */
export const KEPT_SECONDS = 600

/** @param kept where to keep the counts of parts that ended more than a day ago; without it, all parts are read */
export async function countMessagesByTime(
  db: Db,
  span: Span,
  kept: KeptCounts = new Map(),
): Promise<CountsByTime> {
  const now = await readClock(db)
  const parts = partsOf(span, now)
  const keyOf = ({ start }: Part): string => keyOfPart(span, start)
  for (const [key, { readAtMs }] of kept)
    if (Math.abs(now.getTime() - readAtMs) > KEPT_SECONDS * 1000) kept.delete(key)
  const missing = parts.filter((part) => !kept.has(keyOf(part)))
  const ofPart = Map.groupBy(await readGroups(db, missing), ({ part }) => missing[part])
  const groupsOf = (part: Part): readonly Group[] => ofPart.get(part) ?? kept.get(keyOf(part))?.groups ?? []
  const buckets = parts.map((part) => ({ start: part.start, ...sum(groupsOf(part)) }))
  const groups = parts.flatMap(groupsOf)
  for (const part of missing)
    if (isSettled(part, now)) kept.set(keyOf(part), { groups: groupsOf(part), readAtMs: now.getTime() })
  return { whole: sum(groups), buckets, recoveredBy: recoveredBy(groups) }
}

/** The number of the part that begins then (see LostGroup). */
export const partNumber = ({ bucketSeconds }: Span, start: Date): number =>
  start.getTime() / 1000 / bucketSeconds

const keyOfPart = ({ bucketSeconds }: Span, start: Date): string => `${bucketSeconds} ${start.getTime()}`

/**
 * Drops the kept counts of parts that have another number of lost messages by now.
 *
 * @param lostNow by the number of the part (see LostGroup)
 * @returns whether there were any
 */
export function dropOutdated(
  kept: KeptCounts,
  span: Span,
  buckets: readonly Bucket[],
  lostNow: ReadonlyMap<number, number>,
): boolean {
  const outdated = buckets.filter(
    ({ start, failed }) => failed !== (lostNow.get(partNumber(span, start)) ?? 0),
  )
  return outdated.filter(({ start }) => kept.delete(keyOfPart(span, start))).length > 0
}

/** Not the first part, which the span cuts off at another time in each call. */
function isSettled({ from, start, to }: Part, now: Date): boolean {
  return from?.getTime() === start.getTime() && to !== null && to < addSeconds(now, -SETTLED_AFTER_SECONDS)
}

function recoveredBy(groups: readonly Group[]): CountsByTime['recoveredBy'] {
  const recovered = groups.filter(({ status, retries }) => DELIVERED.includes(status) && retries > 0)
  return [...Map.groupBy(recovered, ({ retries }) => retries)]
    .map(([retry, of]) => ({ retry, messages: of.reduce((total, { messages }) => total + messages, 0) }))
    .toSorted((one, other) => one.retry - other.retry)
}

interface Range {
  readonly from: Date | null
  /** Exclusive. */
  readonly to: Date | null
}

interface Part extends Range {
  /** The start of the whole bucket, even if the span begins later. */
  readonly start: Date
}

/** The last part has no end, so a message with a future time (an app that writes local time) counts as of now. */
function partsOf({ seconds, bucketSeconds }: Span, now: Date): Part[] {
  const since = addSeconds(now, -seconds)
  const bucketMs = bucketSeconds * 1000
  const startOf = (time: Date): number => Math.floor(time.getTime() / bucketMs) * bucketMs
  const parts: Part[] = []
  for (let startMs = startOf(since), lastMs = startOf(now); startMs <= lastMs; startMs += bucketMs) {
    const start = new Date(startMs)
    const from = parts.length === 0 ? since : start
    parts.push({ start, from, to: startMs === lastMs ? null : new Date(startMs + bucketMs) })
  }
  return parts
}

interface Group {
  /** The index of the range. */
  readonly part: number
  readonly status: string
  readonly retries: number
  readonly messages: number
}

/**
 * One index range per part. To compute each row's part instead costs a quarter of the time, and PostgreSQL cannot estimate
 * the number of groups, so it does not parallelize. The times are literals: with parameters, PostgreSQL switches to a
 * generic plan that does not know how long a part is.
 */
async function readGroups(db: Db, ranges: readonly Range[]): Promise<Group[]> {
  const { rows } = await db.executeSql<Group>(
    ranges
      .map(
        ({ from, to }, i) =>
          `(select ${i} as "part", coalesce(final_status, 'unknown') as "status",
                   coalesce(retry_count, 0) as "retries", count(*)::int as "messages"
              from sms_usage_logs
             where ${IS_OURS} ${from === null ? '' : `and created_at >= ${literal(from)}`}
                   ${to === null ? '' : `and created_at < ${literal(to)}`}
             group by final_status, retry_count)`,
      )
      .join(' union all '),
  )
  // As in toMessage: the app may have written a number that no attempt can have.
  return rows.map((row) => ({ ...row, retries: Math.min(Math.max(row.retries, 0), MAX_ATTEMPTS) }))
}

/** Untyped, so that the column's own type parses it (see times.ts). */
const literal = (time: Date): string => `'${time.toISOString()}'`

const DELIVERED: readonly string[] = DELIVERY_STATUSES.filter(isDelivered)
const FAILED: readonly string[] = DELIVERY_STATUSES.filter((status) => isFailure(status) && isFinal(status))

function sum(groups: readonly Group[]): Overview {
  const count = (isCounted: (group: Group) => boolean): number =>
    groups.reduce((total, group) => total + (isCounted(group) ? group.messages : 0), 0)
  const isArrived = ({ status }: Group): boolean => DELIVERED.includes(status)
  const isFailed = ({ status }: Group): boolean => FAILED.includes(status)
  const isCanceled = ({ status }: Group): boolean => status === 'canceled'
  return {
    messages: count(() => true),
    deliveredAtFirst: count((group) => isArrived(group) && group.retries === 0),
    deliveredByRetry: count((group) => isArrived(group) && group.retries > 0),
    failed: count(isFailed),
    failedAfterRetry: count((group) => isFailed(group) && group.retries > 0),
    canceled: count(isCanceled),
    retrying: count(({ status }) => status === 'retrying'),
    inFlight: count((group) => !isArrived(group) && !isFailed(group) && !isCanceled(group)),
    retried: count(({ retries }) => retries > 0),
    retries: groups.reduce((total, { retries, messages }) => total + retries * messages, 0),
  }
}
