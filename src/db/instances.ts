// The statements on the rows of running processes, and on the one row with the metrics of all exited ones.
import type { Db } from '../postgres/pool.ts'

/** `web` answers Twilio's callbacks, `worker` makes due attempts, `sender` is a sender inside an app. */
export type Role = 'web' | 'worker' | 'sender'

export const ROLES: readonly Role[] = ['web', 'worker', 'sender']

/** The settings on which all processes must agree, and what follows from them. */
export interface InstanceSettings {
  /** Whether it records outcomes. */
  readonly outcomeEvents?: boolean
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

/** @param metrics JSON */
export async function insertInstance(db: Db, instance: NewInstance, metrics: string): Promise<void> {
  const { id, role, host, pid, version, settings, ageSeconds } = instance
  // The row exists if the answer to an earlier insert was lost.
  await db.executeSql(
    `insert into sms_retry.instance (id, role, host, pid, version, started_at, seen_at, metrics, settings)
     values ($1::uuid, $2::text, $3::text, $4::integer, $5::text,
             clock_timestamp() - make_interval(secs => $6::double precision), clock_timestamp(), $7::jsonb, $8::jsonb)
     on conflict (id) do update set seen_at = excluded.seen_at, metrics = excluded.metrics`,
    [id, role, host, pid, version, ageSeconds, metrics, JSON.stringify(settings)],
  )
}

/** @returns false if there is no row: the process counted as exited */
export async function updateInstance(db: Db, id: string, metrics: string): Promise<boolean> {
  const { rows } = await db.executeSql(
    `update sms_retry.instance set seen_at = clock_timestamp(), metrics = $2::jsonb
      where id = $1::uuid
      returning true as "isThere"`,
    [id, metrics],
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

/** Deletes the rows of exited processes, and the one with this id (null for none), and returns their metrics. */
export async function removeExitedInstances(tx: Db, id: string | null): Promise<unknown[]> {
  const { rows } = await tx.executeSql<{ metrics: unknown }>(
    `delete from sms_retry.instance where id = $1::uuid or not ${IS_LIVE} returning metrics as "metrics"`,
    [id],
  )
  return rows.map(({ metrics }) => metrics)
}

/** @param metrics JSON */
export async function writeExitedMetrics(tx: Db, metrics: string): Promise<void> {
  await tx.executeSql(
    `insert into sms_retry.departed (metrics) values ($1::jsonb)
     on conflict (only_row) do update set metrics = excluded.metrics`,
    [metrics],
  )
}
