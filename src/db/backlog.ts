// Counts of messages that wait or are in doubt, read from the index over messages that are not final.
import { IN_DOUBT_AFTER_SECONDS } from '../delivery/reconcile-time.ts'
import type { DeliveryStatus } from '../delivery/status.ts'
import { finite, IS_IN_FLIGHT, IS_OURS } from './message-row.ts'
import { IS_RECONCILED } from './overdue.ts'
import type { Db } from '../postgres/pool.ts'
import { castToColumnType, toInstantSql, iso } from './times.ts'

export interface Backlog {
  /** Messages that are not final, by status. A status without messages is left out. */
  readonly byStatus: Readonly<Partial<Record<DeliveryStatus, number>>>
  /** Attempts that a worker should make now. */
  readonly due: number
  /** When the oldest of them became due. */
  readonly oldestDueAt: Date | null
  /** Attempts that are due later, and when the first of them is due. */
  readonly deferred: number
  readonly nextDueAt: Date | null
  /** Claimed attempts whose outcome is still unknown after longer than a request can take. */
  readonly inDoubt: number
  readonly oldestInDoubtAt: Date | null
  /** The database's clock. */
  readonly now: Date
}

/** When the latest attempt was claimed, as text; null for a row that the app wrote. */
const CLAIM = `sms_metadata #>> '{attempts,-1,times,submitting}'`
/** The pattern has no backslash: its meaning in a literal depends on standard_conforming_strings. */
const CLAIMED_AT = `case when ${CLAIM} ~ '^[1-9][0-9]{3}-(0[1-9]|1[0-2])-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]' then ${CLAIM}
  else ${iso(toInstantSql('created_at'))} end`

const IS_IN_DOUBT = `final_status = 'submitting' and ${CLAIMED_AT} < ${iso(`now() - interval '${IN_DOUBT_AFTER_SECONDS} s'`)}`

/** An attempt set aside does not count as waiting. */
export const IS_WAITING = `final_status in ('pending', 'retrying') and ${IS_RECONCILED}`
export const DUE_AT = `coalesce(${toInstantSql('next_retry_at')}, ${toInstantSql('created_at')})`

interface BacklogRow {
  readonly status: DeliveryStatus
  readonly messages: number
  readonly waiting: number
  readonly due: number
  readonly oldestDueAt: Date | number | null
  readonly nextDueAt: Date | number | null
  readonly inDoubt: number
  readonly oldestInDoubtAt: string | null
  readonly now: Date
}

export async function readBacklog(db: Db): Promise<Backlog> {
  const { rows } = await db.executeSql<BacklogRow>(
    `with in_flight as materialized (
       select final_status as status, ${IS_WAITING} as is_waiting, ${DUE_AT} <= now() as is_due, ${DUE_AT} as due_at,
              ${IS_IN_DOUBT} as is_in_doubt,
              case when final_status = 'submitting' then ${CLAIMED_AT} end as claimed_at
         from sms_usage_logs
        where ${IS_IN_FLIGHT} and ${IS_OURS})
     select clock."now", g.*
       from (select now() as "now") as clock
       left join (
         select status, count(*)::int as "messages", (count(*) filter (where is_waiting))::int as "waiting",
                (count(*) filter (where is_waiting and is_due))::int as "due",
                min(due_at) filter (where is_waiting and is_due and isfinite(due_at)) as "oldestDueAt",
                min(due_at) filter (where is_waiting and not is_due and due_at < 'infinity') as "nextDueAt",
                (count(*) filter (where is_in_doubt))::int as "inDoubt",
                min(claimed_at) filter (where is_in_doubt) as "oldestInDoubtAt"
           from in_flight
          group by status) as g on true`,
  )
  const groups = rows.filter(({ status }) => status !== null)
  const total = (count: (row: BacklogRow) => number): number =>
    groups.reduce((sum, row) => sum + count(row), 0)
  const due = total((row) => row.due)
  return {
    byStatus: Object.fromEntries(groups.map(({ status, messages }) => [status, messages])),
    due,
    oldestDueAt: earliest(groups.map(({ oldestDueAt }) => oldestDueAt)),
    deferred: total(({ waiting }) => waiting) - due,
    nextDueAt: earliest(groups.map(({ nextDueAt }) => nextDueAt)),
    inDoubt: total((row) => row.inDoubt),
    oldestInDoubtAt: earliest(
      groups.map(({ oldestInDoubtAt }) => (oldestInDoubtAt === null ? null : new Date(oldestInDoubtAt))),
    ),
    now: rows[0]?.now ?? new Date(),
  }
}

function earliest(times: readonly (Date | number | null)[]): Date | null {
  const known = times.flatMap((time) => finite(time)?.getTime() ?? [])
  return known.length === 0 ? null : new Date(Math.min(...known))
}

/** Counts the messages in doubt that were created in the last `lastSeconds`. */
export async function countInDoubt(db: Db, lastSeconds: number): Promise<number> {
  const { rows } = await db.executeSql<{ count: number }>(
    `select count(*)::int as "count"
       from sms_usage_logs
      where ${IS_IN_DOUBT} and ${IS_OURS}
        and created_at >= ${castToColumnType('created_at', 'now() - make_interval(secs => $1::double precision)')}`,
    [lastSeconds],
  )
  return rows[0]?.count ?? 0
}

/** More are not counted, so that a large queue costs no more than this. */
const MAX_QUEUED = 100_000

/** Counts the jobs of these queues that wait, up to 100,000 each, in the order of `queues`. */
export async function countQueued(db: Db, queues: readonly string[]): Promise<number[]> {
  const { rows } = await db.executeSql<{ count: number }>(
    `select (select count(*)
               from (select from sms_retry_pgboss.job where name = queue and state in ('created', 'retry')
                      limit ${MAX_QUEUED}) as queued)::int as "count"
       from unnest($1::text[]) with ordinality as q (queue, position)
      order by position`,
    [queues],
  )
  return rows.map(({ count }) => count)
}
