// Formats the state of the Twilio account for `status`, `pause` and `resume`, and the findings of `status`: facts for people,
// JSON with stable keys.
import type { StoredAccountState } from '../db/account-row.ts'
import type { Backlog } from '../db/backlog.ts'
import {
  type AccountState,
  FAILURES_BEFORE_HOLD,
  type Hold,
  isStopped,
  type Pause,
} from '../delivery/account-state.ts'
import { reasonOf } from '../delivery/error-codes.ts'
import type { Finding } from '../delivery/health-finding.ts'
import { secondsBetween } from '../delivery/seconds.ts'
import { count, duration } from '../shared/figures.ts'
import { styled } from '../shared/output.ts'
import { formatTime } from './format-time.ts'
import { hanging } from './table.ts'

const FACT_WIDTH = 10

export function accountView({ state, now }: StoredAccountState, backlog: Backlog): string {
  const { hold, pause } = state
  const since = (at: Date): string => `since ${formatUtc(at)} (${duration(secondsBetween(at, now))})`
  const facts: (readonly [name: string, value: string])[] = []
  if (pause !== null) {
    facts.push(['Paused', `${since(pause.since)} by ${pause.by}`], ['Reason', pause.reason ?? 'not given'])
  }
  if (hold !== null) {
    facts.push(['On hold', since(hold.since)], ['Cause', codeAndReason(hold.errorCode)])
    facts.push(['Probes', describeProbes(hold, { now, isPaused: pause !== null })])
  }
  const failures = describeFailures(state)
  if (failures !== null) facts.push(['Failures', failures])
  facts.push(['Attempts', `${count(backlog.due)} due, ${count(backlog.deferred)} later`])
  const lines = facts.map(([name, value]) => name.padEnd(FACT_WIDTH) + hanging(value, FACT_WIDTH))
  const isWorking = !isStopped(state)
  const head = isWorking ? 'works' : pause === null ? 'is on hold' : 'is paused'
  return [`Sending ${styled(isWorking ? 'green' : 'red', head)}`, ...lines].join('\n')
}

/** Null if the state of the account says everything. A hold and a pause are part of that state. */
export function findingsView(findings: readonly Finding[]): string | null {
  const shown = findings.filter(({ name }) => name !== 'hold' && name !== 'paused')
  if (shown.length === 0) return null
  const lines = shown.map(({ name, severity, sentence, advice }) => {
    const head = styled(severity === 'critical' ? 'red' : 'yellow', severity.padEnd(FACT_WIDTH))
    return `${head}${hanging(`${sentence}. ${advice} (${name})`, FACT_WIDTH)}`
  })
  return ['', ...lines].join('\n')
}

function describeProbes(
  { probes, probeAt, liftedBy }: Hold,
  { now, isPaused }: { readonly now: Date; readonly isPaused: boolean },
): string {
  const made = `${count(probes)} made`
  if (isPaused) return `${made}, none during the pause`
  const next =
    probeAt > now ? `at ${formatUtc(probeAt)}` : 'is due: a worker makes it with the next due attempt'
  const end = liftedBy === 'accepted' ? 'that Twilio accepts' : 'that Twilio sends'
  return `${made}, the next ${next}. The first one ${end} ends the hold`
}

/** Null without failures since the last success. */
function describeFailures({ failures }: AccountState): string | null {
  const latest = failures.at(-1)
  if (latest === undefined) return null
  const times = failures.length === 1 ? '1 failure' : `${failures.length} failures`
  return (
    `${times} of the Twilio account since its last success, the latest at ${formatUtc(latest.at)}. ` +
    `${FAILURES_BEFORE_HOLD} within a minute put sending on hold`
  )
}

/** Stable: keys are added, never renamed. Times are ISO 8601 in UTC. */
export function accountJson({ hold, pause, failures }: AccountState, { due, deferred }: Backlog): object {
  return {
    state: pause !== null ? 'paused' : hold !== null ? 'on_hold' : 'working',
    hold: hold === null ? null : holdJson(hold),
    pause: pause === null ? null : { since: pause.since, by: pause.by, reason: pause.reason },
    failures: { count: failures.length, latestAt: failures.at(-1)?.at ?? null },
    attemptsDue: due,
    attemptsDeferred: deferred,
  }
}

function holdJson({ since, errorCode, liftedBy, probes, probeAt }: Hold): object {
  return { since, errorCode, reason: reasonOf(errorCode), liftedBy, probes, probeAt }
}

/** Such as `of alice since 2026-01-31 23:59:00 UTC (maintenance)`. */
export function describePauseOf({ by, since, reason }: Pause): string {
  return `of ${by} since ${formatUtc(since)}${reason === null ? '' : ` (${reason})`}`
}

export function codeAndReason(code: number | null): string {
  return code === null ? reasonOf(null) : `${code}: ${reasonOf(code)}`
}

export function formatUtc(at: Date): string {
  return `${formatTime(at)} UTC`
}
