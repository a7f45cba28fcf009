// Do Twilio's status callbacks arrive? Silence alone proves nothing: at night there is nothing to report. So a status that
// Twilio has, and that a lookup found because no callback reported it, counts as the sign.
import { count, duration } from '../shared/figures.ts'
import { type Finding, type HealthFigures, LIVE_SECONDS, type ObservedInstance } from './health-finding.ts'
import { secondsBetween } from './seconds.ts'

/**
 * So many missed callbacks in a row, without one that arrived. If one callback in fifty is lost, five in a row are lost
 * once in 300 million.
 */
const MIN_MISSED = 5

/** Between its arrival and the time in its row, a callback may wait for the database. Twilio itself waits 15 s. */
const RECORDING_SECONDS = 30

/** Each of them certainly came from Twilio, so that few are enough. One alone may be a replay of a leaked URL. */
const MIN_REFUSED = 3
const REFUSED_WITHIN_SECONDS = 3600
/** While none is accepted, refusals count for longer, because an app may send a few messages a day. */
const ALL_REFUSED_WITHIN_SECONDS = 24 * 3600

/** At most one of the two findings: refused callbacks are missed as well. */
export function callbackFindings(figures: HealthFigures): Finding[] {
  const { now, instances } = figures
  const web = instances.filter(({ role }) => role === 'web')
  const live = web.filter(({ seenAt }) => isLive(seenAt, now))
  const heardAt = lastHeard(web, figures)
  const refused = live
    .flatMap(({ activity }) => activity?.refusedAt ?? [])
    .filter((at) => isRecentRefusal(at, heardAt, now))
  if (refused.length >= MIN_REFUSED) return [refusedFinding(refused.length)]
  // A process of an older version does not report the callbacks that arrive.
  if (heardAt === null || live.some(({ activity }) => activity === null)) return []
  const silentUntil = Math.min(
    now.getTime() - (live.length === 0 ? LIVE_SECONDS * 1000 : 0),
    ...live.map(({ seenAt }) => seenAt.getTime()),
  )
  const missed = instances
    .flatMap(({ activity }) => activity?.missedAt ?? [])
    .filter((at) => secondsBetween(heardAt, at) > RECORDING_SECONDS && at.getTime() <= silentUntil)
  return missed.length >= MIN_MISSED ? [stoppedFinding(missed.length, secondsBetween(heardAt, now))] : []
}

const isLive = (seenAt: Date, now: Date): boolean => secondsBetween(seenAt, now) < LIVE_SECONDS

/**
 * The latest time at which a callback arrived, or may have arrived: a process that has had none counts from its start, and
 * one that died until its last heartbeat.
 */
function lastHeard(web: readonly ObservedInstance[], { now, exited }: HealthFigures): Date | null {
  const times = web.map(({ activity, startedAt, seenAt }) =>
    isLive(seenAt, now) ? (activity?.callbackAt ?? startedAt) : seenAt,
  )
  const known = [...times, ...(exited.callbackAt === null ? [] : [exited.callbackAt])]
  return known.length === 0 ? null : new Date(Math.max(...known.map((at) => at.getTime())))
}

function isRecentRefusal(at: Date, heardAt: Date | null, now: Date): boolean {
  const seconds = secondsBetween(at, now)
  if (seconds <= REFUSED_WITHIN_SECONDS) return true
  return seconds <= ALL_REFUSED_WITHIN_SECONDS && (heardAt === null || at > heardAt)
}

function refusedFinding(messages: number): Finding {
  return {
    name: 'callbacks_refused',
    severity: 'critical',
    sentence: `Status callbacks of ${count(messages)} messages came from Twilio and were refused`,
    advice:
      'TWILIO_AUTH_TOKEN, TWILIO_ACCOUNT_SID or PUBLIC_BASE_URL is wrong in a web process, or a body parser stands before ' +
      'the router. Correct it and restart. To check, run: sms-retry doctor',
    path: '/messages?status=sent',
  }
}

function stoppedFinding(missed: number, seconds: number): Finding {
  return {
    name: 'callbacks_stopped',
    severity: 'critical',
    sentence: `No status callback has arrived for ${duration(seconds)}, although the status of ${count(missed)} messages changed`,
    advice:
      'Check that a web process runs and that Twilio reaches PUBLIC_BASE_URL. To check, run: sms-retry doctor. Until then, ' +
      'the sweep asks Twilio, and retries come minutes late.',
    path: '/messages?status=sent',
  }
}
