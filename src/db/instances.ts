// The statements on the rows of running processes, and on the one row of all that are gone.
import type { Db } from '../postgres/pool.ts'

/** Twilio's callbacks, due attempts, an app's own sends. */
export type Role = 'web' | 'worker' | 'sender'

export const ROLES: readonly Role[] = ['web', 'worker', 'sender']

export interface NewInstance {
  readonly id: string
  readonly role: Role
  readonly host: string
  readonly pid: number
  readonly version: string
  /** How long it has been running. */
  readonly ageSeconds: number
}

export interface LiveInstance extends Omit<NewInstance, 'ageSeconds'> {
  readonly startedAt: Date
  readonly seenAt: Date
}

/** A process writes every 15 s: four times in vain, and it is taken for dead. */
const IS_LIVE = `seen_at > clock_timestamp() - interval '60 seconds'`

/** The processes that were seen within the last minute, by role and in the order in which they started. */
export async function listInstances(db: Db): Promise<LiveInstance[]> {
  const { rows } = await db.executeSql<LiveInstance>(
    `select id, role, host, pid, version, started_at as "startedAt", seen_at as "seenAt"
       from sms_retry.instance
      where ${IS_LIVE}
      order by role, started_at, id`,
  )
  return rows
}

/** @param metrics JSON */
export async function insertInstance(db: Db, instance: NewInstance, metrics: string): Promise<void> {
  const { id, role, host, pid, version, ageSeconds } = instance
  // There already: the answer to an insert before this one got lost.
  await db.executeSql(
    `insert into sms_retry.instance (id, role, host, pid, version, started_at, seen_at, metrics)
     values ($1::uuid, $2::text, $3::text, $4::integer, $5::text,
             clock_timestamp() - make_interval(secs => $6::double precision), clock_timestamp(), $7::jsonb)
     on conflict (id) do update set seen_at = excluded.seen_at, metrics = excluded.metrics`,
    [id, role, host, pid, version, ageSeconds, metrics],
  )
}

/** @returns false if the row is not there: the process was taken for dead */
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
  /** Null for all that are gone. */
  readonly role: Role | null
  readonly isLive: boolean
  readonly metrics: unknown
}

/** What every process has counted, those that are gone included, all as of one moment. */
export async function readMetrics(db: Db): Promise<StoredMetrics[]> {
  const { rows } = await db.executeSql<StoredMetrics>(
    `select role as "role", ${IS_LIVE} as "isLive", metrics as "metrics" from sms_retry.instance
     union all
     select null, false, metrics from sms_retry.departed`,
  )
  return rows
}

export async function hasExited(db: Db): Promise<boolean> {
  const { rows } = await db.executeSql<{ isAny: boolean }>(
    `select exists (select from sms_retry.instance where not ${IS_LIVE}) as "isAny"`,
  )
  return rows[0]?.isAny === true
}

/** What all that are gone have counted, locked until the transaction ends. */
export async function lockExited(tx: Db): Promise<unknown> {
  const { rows } = await tx.executeSql<{ metrics: unknown }>(
    'select metrics as "metrics" from sms_retry.departed for update',
  )
  return rows[0]?.metrics
}

/** Removes the rows of those that are gone, and of this one (null for none), and returns what they have counted. */
export async function takeExited(tx: Db, id: string | null): Promise<unknown[]> {
  const { rows } = await tx.executeSql<{ metrics: unknown }>(
    `delete from sms_retry.instance where id = $1::uuid or not ${IS_LIVE} returning metrics as "metrics"`,
    [id],
  )
  return rows.map(({ metrics }) => metrics)
}

/** @param metrics JSON */
export async function writeExited(tx: Db, metrics: string): Promise<void> {
  await tx.executeSql(
    `insert into sms_retry.departed (metrics) values ($1::jsonb)
     on conflict (only_row) do update set metrics = excluded.metrics`,
    [metrics],
  )
}
