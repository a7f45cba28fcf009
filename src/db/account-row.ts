// The statements on the one row with the state of the Twilio account, which all processes share.
import type { AccountState, Hold } from '../delivery/account-state.ts'
import type { Database, Db } from '../postgres/pool.ts'
import { DatabaseError } from '../shared/errors.ts'
import { iso } from './times.ts'

export interface StoredAccountState {
  readonly state: AccountState
  /** Changes with each write. */
  readonly version: number
  /** The database's clock: the start of the transaction, which is the time that a new row gets. */
  readonly now: Date
}

interface AccountStateRow {
  readonly now: string
  readonly version: string | number
  readonly failures: readonly { readonly at: string; readonly wasAccepted: boolean }[]
  readonly workingSince: string | null
  readonly heldSince: string | null
  readonly heldCode: number | null
  readonly liftedBy: Hold['liftedBy']
  readonly probes: number
  readonly probeAt: string
  readonly pausedSince: string | null
  readonly pausedBy: string
  readonly pausedReason: string | null
}

const READ = `select ${iso('now()')} as "now", version, failures, ${iso('working_since')} as "workingSince",
       ${iso('held_since')} as "heldSince",
       held_code as "heldCode", lifted_by as "liftedBy", probes, ${iso('probe_at')} as "probeAt",
       ${iso('paused_since')} as "pausedSince", paused_by as "pausedBy", paused_reason as "pausedReason"
  from sms_retry.account_state`
const READ_LOCKED = `${READ} for no key update`

/** @param isLocked whether to lock the row until the transaction ends */
export async function readAccountState(db: Db, { isLocked = false } = {}): Promise<StoredAccountState> {
  const { rows } = await db.executeSql<AccountStateRow>(isLocked ? READ_LOCKED : READ)
  const [row] = rows
  if (row === undefined) throw new DatabaseError('sms_retry.account_state has no row. Run: sms-retry migrate')
  return { state: toAccountState(row), version: Number(row.version), now: new Date(row.now) }
}

function toAccountState(row: AccountStateRow): AccountState {
  const { heldSince, heldCode, liftedBy, probes, pausedSince, pausedBy: by, pausedReason: reason } = row
  return {
    failures: row.failures.map(({ at, wasAccepted }) => ({ at: new Date(at), wasAccepted })),
    workingSince: row.workingSince === null ? null : new Date(row.workingSince),
    hold:
      heldSince === null
        ? null
        : {
            since: new Date(heldSince),
            errorCode: heldCode,
            liftedBy,
            probes,
            probeAt: new Date(row.probeAt),
          },
    pause: pausedSince === null ? null : { since: new Date(pausedSince), by, reason },
  }
}

/**
 * Writes what a signal has changed. If the row was written since it was read, the failures of the new state are lost, and
 * others follow. The end of a hold is never lost.
 */
export async function writeAccountState(
  tx: Db,
  { failures, workingSince, hold }: AccountState,
  before: StoredAccountState,
): Promise<void> {
  if (before.state.hold !== null && hold === null) return endHold(tx, before.state.hold, workingSince)
  await tx.executeSql(
    `update sms_retry.account_state
        set version = version + 1, failures = $2::jsonb, held_since = $3::timestamptz, held_code = $4::integer,
            lifted_by = $5::text, probes = $6::integer, probe_at = $7::timestamptz
      where version = $1::bigint`,
    [
      before.version,
      JSON.stringify(failures),
      hold?.since.toISOString() ?? null,
      hold?.errorCode ?? null,
      hold?.liftedBy ?? null,
      hold?.probes ?? null,
      hold?.probeAt.toISOString() ?? null,
    ],
  )
}

const NO_HOLD =
  "failures = '[]', held_since = null, held_code = null, lifted_by = null, probes = null, probe_at = null"

async function endHold(tx: Db, { since }: Hold, workingSince: Date | null): Promise<void> {
  await tx.executeSql(
    `update sms_retry.account_state
        set version = version + 1, working_since = $2::timestamptz, ${NO_HOLD}
      where ${iso('held_since')} = $1::text`,
    [since.toISOString(), workingSince?.toISOString() ?? null],
  )
}

/**
 * Takes the probe that follows probe number `probes`, if it is due and no other worker has taken it.
 *
 * @param nextSeconds from now to the probe after that
 * @param maxSeconds a probe that is due later is due now: the clock of the database was set back
 * @returns whether this worker may make the probe
 */
export async function takeProbe(
  db: Db,
  probes: number,
  nextSeconds: number,
  maxSeconds: number,
): Promise<boolean> {
  const { rows } = await db.executeSql(
    `update sms_retry.account_state
        set version = version + 1, probes = probes + 1,
            probe_at = clock_timestamp() + make_interval(secs => $2::double precision)
      where held_since is not null and paused_since is null and probes = $1::integer
        and probe_at not between clock_timestamp()
                             and clock_timestamp() + make_interval(secs => $3::double precision)
     returning 1`,
    [probes, nextSeconds, maxSeconds],
  )
  return rows.length > 0
}

/** Gives probe number `probe` back: nothing was submitted, so another message can make it. */
export async function returnProbe(db: Db, probe: number): Promise<void> {
  await db.executeSql(
    `update sms_retry.account_state
        set version = version + 1, probes = probes - 1, probe_at = clock_timestamp()
      where held_since is not null and probes = $1::integer`,
    [probe],
  )
}

/**
 * Changes the state on behalf of a person: `change` sees it as it is, and no other process changes it meanwhile.
 *
 * @param change its statements run with the commit
 */
export function changeSending<T>(
  database: Database,
  change: (tx: Db, state: AccountState) => Promise<T>,
): Promise<T> {
  return database.transaction(async (tx) => {
    const { state } = await readAccountState(tx.atBegin, { isLocked: true })
    return change(tx.atCommit, state)
  })
}

/** A later pause replaces an earlier one. */
export async function pauseSending(db: Db, by: string, reason: string | null): Promise<void> {
  await db.executeSql(
    `update sms_retry.account_state
        set version = version + 1, paused_since = clock_timestamp(), paused_by = $1::text, paused_reason = $2::text`,
    [by, reason],
  )
}

/** Ends a pause and a hold. */
export async function resumeSending(db: Db): Promise<void> {
  await db.executeSql(
    `update sms_retry.account_state
        set version = version + 1, paused_since = null, paused_by = null, paused_reason = null,
            working_since = clock_timestamp(), ${NO_HOLD}`,
  )
}
