// The state of the Twilio account, derived from the attempts of all messages: its recent failures, and the hold that they
// cause. While a hold or a pause lasts, nothing is submitted but one probe at a time. Pure: db/account-row.ts stores it.
import { addSeconds, secondsBetween } from './seconds.ts'

/** An attempt that failed with a code of the account. */
export interface AccountFailure {
  readonly at: Date
  /** Whether Twilio accepted the attempt first, and reported the failure by status callback. */
  readonly wasAccepted: boolean
}

/** Nothing is submitted, because the account fails. */
export interface Hold {
  readonly since: Date
  /** Twilio's code of the failure that caused the hold. */
  readonly errorCode: number | null
  /**
   * What a probe must reach to lift the hold. `sent` if Twilio accepts messages and fails them later: then an acceptance
   * proves nothing.
   */
  readonly liftedBy: 'accepted' | 'sent'
  /** How many probes were made. */
  readonly probes: number
  /** When the next probe is due. */
  readonly probeAt: Date
}

/** The longest reason of a pause, in characters. */
export const MAX_PAUSE_REASON = 200

/** Nothing is submitted, because a person stopped it. */
export interface Pause {
  readonly since: Date
  readonly by: string
  readonly reason: string | null
}

export interface AccountState {
  /** Those of the last minute since the last success, oldest first. Empty during a hold. */
  readonly failures: readonly AccountFailure[]
  /** The end of the latest hold or pause; null if there was none. Failures of earlier attempts do not count. */
  readonly workingSince: Date | null
  readonly hold: Hold | null
  readonly pause: Pause | null
}

export const WORKING_ACCOUNT: AccountState = { failures: [], workingSince: null, hold: null, pause: null }

/** So many failures in a row, within so many seconds, cause a hold. */
export const FAILURES_BEFORE_HOLD = 5
const FAILURES_WITHIN_SECONDS = 60

const FIRST_PROBE_SECONDS = 30
const MAX_PROBE_SECONDS = 600

/** Seconds from the start of the hold, or from probe number `probes`, to the next probe. */
export function probeDelaySeconds(probes: number, delayScale: number): number {
  return Math.min(FIRST_PROBE_SECONDS * 2 ** probes, MAX_PROBE_SECONDS) * delayScale
}

/** What the change of one attempt says about the account. */
export interface AccountSignal {
  readonly kind: 'failed' | 'accepted' | 'sent'
  readonly errorCode: number | null
  readonly wasAccepted: boolean
  readonly claimedAt: Date
}

/**
 * The state after a signal; the same object if it does not change. Most signals come from a working account and change
 * nothing, so that the row is rarely written.
 */
export function afterSignal(
  state: AccountState,
  signal: AccountSignal,
  now: Date,
  delayScale: number,
): AccountState {
  if (signal.kind === 'failed') return afterFailure(state, signal, now, delayScale)
  if (state.hold !== null) {
    return isLifting(signal, state.hold, now) ? { ...state, workingSince: now, hold: null } : state
  }
  // An attempt that was claimed before a failure says nothing about the account after it.
  const failures = state.failures.filter(
    ({ at, wasAccepted }) => at > signal.claimedAt || (wasAccepted && signal.kind === 'accepted'),
  )
  return failures.length === state.failures.length ? state : { ...state, failures }
}

function afterFailure(
  state: AccountState,
  { errorCode, wasAccepted, claimedAt }: AccountSignal,
  now: Date,
  delayScale: number,
): AccountState {
  const isOld = state.workingSince !== null && claimedAt < state.workingSince && state.workingSince <= now
  if (state.hold !== null || isOld) return state
  const recent = state.failures.filter(({ at }) => secondsBetween(at, now) < FAILURES_WITHIN_SECONDS)
  const failures = [...recent, { at: now, wasAccepted }]
  if (failures.length < FAILURES_BEFORE_HOLD) return { ...state, failures }
  const probeAt = addSeconds(now, probeDelaySeconds(0, delayScale))
  const liftedBy = wasAccepted ? 'sent' : 'accepted'
  return { ...state, failures: [], hold: { since: now, errorCode, liftedBy, probes: 0, probeAt } }
}

/** An attempt that was claimed before the hold says nothing about the account now. */
function isLifting({ kind, claimedAt }: AccountSignal, { since, liftedBy }: Hold, now: Date): boolean {
  // If the hold starts in the future, the clock of the database was set back.
  return (claimedAt >= since || since > now) && (kind === 'sent' || liftedBy === 'accepted')
}

/** The longest pause before a probe, in seconds. */
export function maxProbeDelaySeconds(delayScale: number): number {
  return MAX_PROBE_SECONDS * delayScale
}

/** A probe that is due later than the longest pause means that the clock of the database was set back. */
export function isProbeDue({ probeAt }: Hold, now: Date, delayScale: number): boolean {
  return probeAt <= now || secondsBetween(now, probeAt) > maxProbeDelaySeconds(delayScale)
}

/** The state as the given probe sees it: the latest probe passes the hold. A pause stops it, too. */
export function forProbe(state: AccountState, probe: number | undefined): AccountState {
  return probe !== undefined && state.hold?.probes === probe ? { ...state, hold: null } : state
}

/**
 * After this time, an attempt that met a hold or pause asks again. The end is not known, and workers take no due attempts
 * before it.
 */
const ASK_AGAIN_SECONDS = 5

/** Why nothing is submitted now, and when to ask again; null if the account works. */
export function blockOf(
  state: AccountState,
  now: Date,
): { readonly until: Date; readonly reason: string } | null {
  const reason = stopReason(state)
  return reason === null ? null : { until: addSeconds(now, ASK_AGAIN_SECONDS), reason }
}

/** Whether nothing is submitted now, but probes. */
export function isStopped({ hold, pause }: AccountState): boolean {
  return hold !== null || pause !== null
}

/** Null if the account works. A pause is named before a hold, because it also stops the probes. */
export function stopReason({ hold, pause }: AccountState): string | null {
  if (pause !== null) return describePause(pause)
  return hold === null ? null : describeHold(hold)
}

export function describePause({ reason }: Pause): string {
  return reason === null ? 'Sending is paused' : `Sending is paused: ${reason}`
}

export function describeHold({ errorCode }: Hold): string {
  const code = errorCode === null ? '' : `: the Twilio account fails with ${errorCode}`
  return `Sending is on hold${code}`
}
