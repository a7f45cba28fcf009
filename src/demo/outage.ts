// An outage in the demo: the simulated account is suspended until a few probes have failed. Follows the hold that it causes.
import { setTimeout as sleep } from 'node:timers/promises'
import { readAccountState, type StoredAccountState } from '../db/account-row.ts'
import { describeHold, type Hold } from '../delivery/account-state.ts'
import type { Database } from '../postgres/pool.ts'
import type { Simulator } from '../simulator/simulator.ts'
import { retryOnDatabaseError } from '../recording/record-events.ts'

export interface OutageFigures {
  /** The code that caused the hold. */
  readonly errorCode: number | null
  /**
   * Requests that the suspended account received, before the hold and during it. Beside the probes, `requestsDuringHold`
   * counts requests that had been started before the hold, but arrived later.
   */
  readonly requestsBeforeHold: number
  readonly requestsDuringHold: number
  /** Those made before the account was active again. */
  readonly failedProbes: number
}

export interface OutageDeps {
  readonly database: Database
  readonly simulator: Simulator
  /** Aborted when the demo stops. */
  readonly stopping: AbortSignal
  readonly databaseRetryDelaysMs: readonly number[]
  /** Shows a line to the person who watches. */
  readonly note: (text: string) => void
}

const POLL_MS = 50
const PROBES_BEFORE_RECOVERY = 3
/** Before the next probe is due. By then, the probe before it was answered. */
const RECOVERY_BEFORE_PROBE_MS = 1_000

/** Suspends the account, waits for the hold and its probes, activates the account, and waits for the end of the hold. */
export async function runOutage(deps: OutageDeps): Promise<OutageFigures> {
  const { simulator, note } = deps
  const suspendedMs = Date.now()
  simulator.setAccountStatus('suspended')
  note('Outage: the simulated Twilio account is suspended')

  const hold = await waitForState(deps, ({ state }) => state.hold)
  note(`${describeHold(hold)}. Messages are recorded, but only probes are submitted`)
  let failedProbes = 0
  await waitForState(deps, ({ state, now }) => {
    if (state.hold === null) return state
    while (failedProbes < state.hold.probes) {
      failedProbes += 1
      note(`Probe ${failedProbes} was made`)
    }
    return isTimeToRecover(state.hold, now) ? state : null
  })

  const activeMs = Date.now()
  simulator.setAccountStatus('active')
  note('The simulated Twilio account is active again. The next probe ends the hold')
  await waitForState(deps, ({ state }) => (state.hold === null ? state : null))
  note('The hold has ended: sending resumes')

  const holdMs = hold.since.getTime()
  const countBetween = (fromMs: number, toMs: number): number =>
    simulator.messages().filter(({ created_at_ms: at }) => at >= fromMs && at < toMs).length
  return {
    errorCode: hold.errorCode,
    requestsBeforeHold: countBetween(suspendedMs, holdMs),
    requestsDuringHold: countBetween(holdMs, activeMs),
    failedProbes,
  }
}

function isTimeToRecover({ probes, probeAt }: Hold, now: Date): boolean {
  return probes >= PROBES_BEFORE_RECOVERY && probeAt.getTime() - now.getTime() <= RECOVERY_BEFORE_PROBE_MS
}

/** Resolves with the first value that is not null. */
async function waitForState<T>(
  { database, databaseRetryDelaysMs, stopping }: OutageDeps,
  read: (stored: StoredAccountState) => T | null,
): Promise<T> {
  for (;;) {
    const stored = await retryOnDatabaseError(() => readAccountState(database), databaseRetryDelaysMs, {
      signal: stopping,
    })
    const value = read(stored)
    if (value !== null) return value
    await sleep(POLL_MS, undefined, { signal: stopping })
  }
}
