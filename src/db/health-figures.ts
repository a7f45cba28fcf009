// Reads the figures from which delivery/health.ts derives incidents. All statements are cheap at any size of the table: they
// read the rows in flight, the few rows that all processes share, and a sample of the index over the time.
import type { CodeCounts, CodeFigures } from '../delivery/code-jump.ts'
import { type HealthFigures, MAX_COUNTED_OUTCOMES } from '../delivery/health-finding.ts'
import type { StoredAccountState } from './account-row.ts'
import { readAccountState } from './account-row.ts'
import { type Backlog, readBacklog } from './backlog.ts'
import { IS_TROUBLED } from './failures.ts'
import { readQueueVersion } from './inspect.ts'
import { readHeartbeats } from './instances.ts'
import { IS_OURS } from './message-row.ts'
import { readReservedUntil } from './send-rate.ts'
import type { Db } from '../postgres/pool.ts'
import { castToColumnType } from './times.ts'

/** The queue that this version needs. */
export interface RequiredQueue {
  readonly version: number
  readonly queues: readonly string[]
  /** The queue of outcomes that failed all deliveries. */
  readonly failedOutcomes: string
}

export interface ReadFigures {
  readonly figures: HealthFigures
  readonly account: StoredAccountState
  readonly backlog: Backlog
}

/** @throws DatabaseError */
export async function readHealthFigures(db: Db, required: RequiredQueue): Promise<ReadFigures> {
  const [account, backlog, heartbeats, rateReservedUntil, queue, codes] = await Promise.all([
    readAccountState(db),
    readBacklog(db),
    readHeartbeats(db),
    readReservedUntil(db),
    readQueueState(db, required),
    countRecentCodes(db),
  ])
  const { now, instances, exited } = heartbeats
  const { state } = account
  const figures = { now, account: state, backlog, instances, exited, rateReservedUntil, queue, codes }
  return { figures, account, backlog }
}

async function readQueueState(
  db: Db,
  { version, queues, failedOutcomes }: RequiredQueue,
): Promise<HealthFigures['queue']> {
  const { rows: tables } = await db.executeSql<{ isThere: boolean }>(
    `select to_regclass('sms_retry_pgboss.version') is not null and to_regclass('sms_retry_pgboss.queue') is not null
            and to_regclass('sms_retry_pgboss.job') is not null as "isThere"`,
  )
  if (tables[0]?.isThere !== true) return { state: 'missing', failedOutcomes: 0 }
  const installed = await readQueueVersion(db)
  const { rows } = await db.executeSql<{ queues: number; failed: number }>(
    `select (select count(*) from sms_retry_pgboss.queue where name = any($1::text[]))::int as "queues",
            (select count(*) from (select from sms_retry_pgboss.job
                                    where name = $2::text and state in ('created', 'retry')
                                    limit ${MAX_COUNTED_OUTCOMES}) as counted)::int as "failed"`,
    [queues, failedOutcomes],
  )
  const isCurrent = installed >= version && rows[0]?.queues === queues.length
  return { state: isCurrent ? 'current' : 'outdated', failedOutcomes: rows[0]?.failed ?? 0 }
}

const MINUTE = 60
const HOUR = 3600

/**
 * The spans of `CodeFigures`, from and to so many seconds ago. Each is read in parts, with at most `partRows` messages of
 * each part: the number of rows read does not grow with the table, and a span with fewer rows is counted completely.
 */
const SPANS = {
  lastHour: { from: HOUR, to: 0, partSeconds: MINUTE, partRows: 50 },
  lastSixHours: { from: 6 * HOUR, to: 0, partSeconds: 10 * MINUTE, partRows: 50 },
  weekBefore: { from: 7 * 24 * HOUR, to: 6 * HOUR, partSeconds: 30 * MINUTE, partRows: 20 },
} as const satisfies Record<
  keyof CodeFigures,
  { from: number; to: number; partSeconds: number; partRows: number }
>

const secondsAgo = (seconds: string): string =>
  castToColumnType('created_at', `now() - make_interval(secs => ${seconds})`)

/** An attempt was made. A message that waits for its first one says nothing about a code. */
const IS_ATTEMPTED = `(retry_count > 0 or final_status not in ('pending', 'submitting', 'canceled', 'expired', 'unknown'))`

function sampleOf(span: keyof typeof SPANS): string {
  const { from, to, partSeconds, partRows } = SPANS[span]
  return `select '${span}' as span, m.*
            from generate_series(${to + partSeconds}, ${from}, ${partSeconds}) as part (ago)
           cross join lateral (
             select id, final_status, retry_count
               from sms_usage_logs
              where ${IS_OURS} and created_at >= ${secondsAgo('part.ago')}
                and created_at < ${secondsAgo(`part.ago - ${partSeconds}`)}
              order by created_at
              limit ${partRows}) as m`
}

interface CodeRow {
  readonly span: keyof CodeFigures
  /** Null for messages without a failure. */
  readonly code: string | null
  readonly messages: number
}

/** Counts attempted messages by the latest error code of each, which stays when a retry succeeds. */
export async function countRecentCodes(db: Db): Promise<CodeFigures> {
  const { rows } = await db.executeSql<CodeRow>(
    `with sample as (${(Object.keys(SPANS) as (keyof typeof SPANS)[]).map(sampleOf).join('\n union all ')}),
     attempted as materialized (
       select span, case when ${IS_TROUBLED} then (
                select r.sms_metadata ->> 'retry_reason' from sms_usage_logs as r where r.id = sample.id) end as code
         from sample
        where ${IS_ATTEMPTED})
     select span, case when code ~ '^[1-9][0-9]{4,5}$' then code end as "code", count(*)::int as "messages"
       from attempted
      group by 1, 2`,
  )
  const countsOf = (span: keyof CodeFigures): CodeCounts => {
    const own = rows.filter((row) => row.span === span)
    return {
      messages: own.reduce((sum, { messages }) => sum + messages, 0),
      byCode: new Map(own.flatMap(({ code, messages }) => (code === null ? [] : [[Number(code), messages]]))),
    }
  }
  return {
    lastHour: countsOf('lastHour'),
    lastSixHours: countsOf('lastSixHours'),
    weekBefore: countsOf('weekBefore'),
  }
}
