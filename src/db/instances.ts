// The statements on the rows of running processes, and on the one row with the figures of all exited ones.
import type { SharedSettings } from '../delivery/instance-agreement.ts'
import type { Db } from '../postgres/pool.ts'

/** `web` answers Twilio's callbacks, `worker` makes due attempts, `sender` is a sender inside an app. */
export type Role = 'web' | 'worker' | 'sender'

export const ROLES: readonly Role[] = ['web', 'worker', 'sender']

/** The settings on which all processes must agree, and what follows from them. */
export interface InstanceSettings extends SharedSettings {
  /** Whether it delivers outcomes. */
  readonly deliversOutcomes?: boolean
}

export interface NewInstance {
  readonly id: string
  readonly role: Role
  readonly host: string
  readonly pid: number
  readonly version: string
  readonly settings: InstanceSettings
  /** Seconds since the process started. */
  readonly ageSeconds: number
}

export interface LiveInstance extends Omit<NewInstance, 'ageSeconds'> {
  readonly startedAt: Date
  readonly seenAt: Date
}

/** What a process saw last, in seconds ago, because it has a clock of its own. An age that is null means: not since the process started. */
export interface ActivityAges {
  /** The latest claim of an attempt. */
  readonly claimed: number | null
  /** The latest status callback with a valid signature. */
  readonly callback: number | null
  /** Lookups that found a status that no callback had reported, the newest ones. */
  readonly missed: readonly number[]
  /** Refused callbacks that certainly came from Twilio, the latest of each message. */
  readonly refused: readonly number[]
}

/** The same as times of the database's clock. */
export interface InstanceActivity {
  readonly claimedAt: Date | null
  readonly callbackAt: Date | null
  readonly missedAt: readonly Date[]
  readonly refusedAt: readonly Date[]
}

export interface Heartbeat extends LiveInstance {
  /** Null for a process of an older version. */
  readonly activity: InstanceActivity | null
}

/** A process writes every 15 s. After four missed writes it counts as exited. */
const IS_LIVE = `seen_at > clock_timestamp() - interval '60 seconds'`

/** The running processes, ordered by role and start. */
export async function listInstances(db: Db): Promise<LiveInstance[]> {
  const { rows } = await db.executeSql<LiveInstance>(
    `select id, role, host, pid, version, settings, started_at as "startedAt", seen_at as "seenAt"
       from sms_retry.instance
      where ${IS_LIVE}
      order by role, started_at, id`,
  )
  return rows
}

/** The figures that a process writes with each heartbeat. */
export interface InstanceFigures {
  /** JSON */
  readonly metrics: string
  readonly activity: ActivityAges
}

export async function insertInstance(
  db: Db,
  instance: NewInstance,
  { metrics, activity }: InstanceFigures,
): Promise<void> {
  const { id, role, host, pid, version, settings, ageSeconds } = instance
  // The row exists if the answer to an earlier insert was lost.
  await db.executeSql(
    `insert into sms_retry.instance (id, role, host, pid, version, started_at, seen_at, metrics, settings, activity)
     values ($1::uuid, $2::text, $3::text, $4::integer, $5::text,
             clock_timestamp() - make_interval(secs => $6::double precision), clock_timestamp(), $7::jsonb, $8::jsonb, $9::jsonb)
     on conflict (id) do update
        set seen_at = excluded.seen_at, metrics = excluded.metrics, activity = excluded.activity`,
    [id, role, host, pid, version, ageSeconds, metrics, JSON.stringify(settings), JSON.stringify(activity)],
  )
}

/** @returns false if there is no row: the process counted as exited */
export async function updateInstance(
  db: Db,
  id: string,
  { metrics, activity }: InstanceFigures,
): Promise<boolean> {
  const { rows } = await db.executeSql(
    `update sms_retry.instance set seen_at = clock_timestamp(), metrics = $2::jsonb, activity = $3::jsonb
      where id = $1::uuid
      returning true as "isThere"`,
    [id, metrics, JSON.stringify(activity)],
  )
  return rows.length > 0
}

export interface StoredMetrics {
  /** Null for the metrics of all exited processes. */
  readonly role: Role | null
  readonly isLive: boolean
  readonly metrics: unknown
}

/** The metrics of every process, exited ones included, in one snapshot. */
export async function readMetrics(db: Db): Promise<StoredMetrics[]> {
  const { rows } = await db.executeSql<StoredMetrics>(
    `select role as "role", ${IS_LIVE} as "isLive", metrics as "metrics" from sms_retry.instance
     union all
     select null, false, metrics from sms_retry.departed`,
  )
  return rows
}

/** Whether rows of exited processes still have to be merged. */
export async function hasExitedInstances(db: Db): Promise<boolean> {
  const { rows } = await db.executeSql<{ isAny: boolean }>(
    `select exists (select from sms_retry.instance where not ${IS_LIVE}) as "isAny"`,
  )
  return rows[0]?.isAny === true
}

/** The metrics of all exited processes, locked until the transaction ends. */
export async function lockExitedMetrics(tx: Db): Promise<unknown> {
  const { rows } = await tx.executeSql<{ metrics: unknown }>(
    'select metrics as "metrics" from sms_retry.departed for update',
  )
  return rows[0]?.metrics
}

/** What is kept of a process that has exited. */
export interface ExitedInstance {
  readonly metrics: unknown
  /** Null unless it was a worker. */
  readonly workerSeenAt: Date | null
  /**
   * No status callback arrived at this process after this time, as far as is known. A process that died may have had one
   * until its last heartbeat. Null unless it was a web process.
   */
  readonly callbackAt: Date | null
}

/** Deletes the rows of exited processes, and the one with this id (null for none), and returns what is kept of them. */
export async function removeExitedInstances(tx: Db, id: string | null): Promise<ExitedInstance[]> {
  const { rows } = await tx.executeSql<ExitedInstance>(
    `delete from sms_retry.instance where id = $1::uuid or not ${IS_LIVE}
     returning metrics as "metrics",
               case when role = 'worker' then seen_at end as "workerSeenAt",
               case when role = 'web' and id = $1::uuid
                    then seen_at - make_interval(secs => (activity ->> 'callback')::double precision)
                    when role = 'web' then seen_at end as "callbackAt"`,
    [id],
  )
  return rows
}

/** @param metrics JSON, of all exited processes */
export async function writeExited(
  tx: Db,
  metrics: string,
  exited: readonly Pick<ExitedInstance, 'workerSeenAt' | 'callbackAt'>[],
): Promise<void> {
  await tx.executeSql(
    `insert into sms_retry.departed as departed (metrics, worker_seen_at, callback_at)
     select $1::jsonb, max(worker_seen_at), max(callback_at)
       from unnest($2::timestamptz[], $3::timestamptz[]) as exited (worker_seen_at, callback_at)
     on conflict (only_row) do update
        set metrics = excluded.metrics,
            worker_seen_at = greatest(departed.worker_seen_at, excluded.worker_seen_at),
            callback_at = greatest(departed.callback_at, excluded.callback_at)`,
    [
      metrics,
      exited.map(({ workerSeenAt }) => workerSeenAt?.toISOString() ?? null),
      exited.map(({ callbackAt }) => callbackAt?.toISOString() ?? null),
    ],
  )
}

export interface Heartbeats {
  /** Of running processes, and of those that died since the last start of another. */
  readonly instances: readonly Heartbeat[]
  /** Of all processes that have exited. */
  readonly exited: Pick<ExitedInstance, 'workerSeenAt' | 'callbackAt'>
  readonly now: Date
}

interface HeartbeatRow extends LiveInstance {
  readonly activity: Partial<ActivityAges>
}

export async function readHeartbeats(db: Db): Promise<Heartbeats> {
  // First: a process that stops in between is then found twice, not missed. The reader takes the latest time of both.
  const { rows: beats } = await db.executeSql<HeartbeatRow>(
    `select id, role, host, pid, version, settings, started_at as "startedAt", seen_at as "seenAt", activity
       from sms_retry.instance
      order by role, started_at, id`,
  )
  const { rows } = await db.executeSql<Heartbeats['exited'] & { readonly now: Date }>(
    `select clock_timestamp() as "now", worker_seen_at as "workerSeenAt", callback_at as "callbackAt"
       from (select) as one left join sms_retry.departed on true`,
  )
  const [row] = rows
  if (row === undefined) throw new Error('The database returned no row for its clock')
  const { now, workerSeenAt, callbackAt } = row
  return { now, exited: { workerSeenAt, callbackAt }, instances: beats.map(toHeartbeat) }
}

function toHeartbeat({ activity, ...instance }: HeartbeatRow): Heartbeat {
  const { claimed, callback, missed, refused } = activity
  if (claimed === undefined || callback === undefined) return { ...instance, activity: null }
  const at = (age: number): Date => new Date(instance.seenAt.getTime() - age * 1000)
  return {
    ...instance,
    activity: {
      claimedAt: claimed === null ? null : at(claimed),
      callbackAt: callback === null ? null : at(callback),
      missedAt: (missed ?? []).map(at),
      refusedAt: (refused ?? []).map(at),
    },
  }
}
