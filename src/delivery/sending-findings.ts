// Are due attempts made: a worker, the queue, the account, and what waits?
import { count, duration } from '../shared/figures.ts'
import { describeHold, describePause } from './account-state.ts'
import { reasonOf } from './error-codes.ts'
import {
  type Finding,
  type HealthFigures,
  MAX_RESERVED_SECONDS,
  type ObservedInstance,
} from './health-finding.ts'
import { secondsBetween } from './seconds.ts'

/** Three missed heartbeats. With the cache of the figures, the finding appears within a minute after a worker's death. */
const WORKER_SILENT_SECONDS = 50

/** Without a worker so far, the first one may just be starting. */
const FIRST_WORKER_SECONDS = 60

/** Later, a worker that nothing waits for was switched off on purpose. */
const WORKER_EXPECTED_SECONDS = 24 * 3600

/** The sweep replaces a lost job within a minute, and repeats what a lock stopped. */
const OVERDUE_SECONDS = 300

/** A worker that made an attempt within this time works through a backlog, such as a campaign. */
const WORKING_SECONDS = 60
/** No backlog takes so long, unless the send rate limits it. */
const OVERDUE_WHILE_WORKING_SECONDS = 3600

/** The first lookup follows a claim after 45 s. By now, several have failed or found nothing. */
const IN_DOUBT_SECONDS = 900
const IN_DOUBT_CRITICAL_SECONDS = 3600

const DUE_PATH = '/queue'

function liveWorkers({ now, instances }: HealthFigures): ObservedInstance[] {
  return instances.filter(
    ({ role, seenAt }) => role === 'worker' && secondsBetween(seenAt, now) < WORKER_SILENT_SECONDS,
  )
}

export function workerFindings(figures: HealthFigures): Finding[] {
  const { now, backlog, instances, exited } = figures
  if (liveWorkers(figures).length > 0) return []
  const workers = instances.filter(({ role }) => role === 'worker').map(({ seenAt }) => seenAt)
  const seen = [...workers, ...(exited.workerSeenAt === null ? [] : [exited.workerSeenAt])]
  const { due, deferred, inDoubt, oldestDueAt } = backlog
  const waiting = due + deferred + inDoubt
  if (seen.length === 0) {
    if (oldestDueAt === null || secondsBetween(oldestDueAt, now) < FIRST_WORKER_SECONDS) return []
    return [noWorker('critical', `No worker has run so far; ${attemptsWait(waiting)}`)]
  }
  const silentSeconds = Math.min(...seen.map((at) => secondsBetween(at, now)))
  if (silentSeconds < WORKER_SILENT_SECONDS) return []
  const since = `No worker has run for ${duration(silentSeconds)}`
  if (waiting > 0) return [noWorker('critical', `${since}; ${attemptsWait(waiting)}`)]
  if (silentSeconds > WORKER_EXPECTED_SECONDS) return []
  return [noWorker('warning', `${since}; no attempt waits now`)]
}

function noWorker(severity: Finding['severity'], sentence: string): Finding {
  const advice =
    'Start a worker: sms-retry worker. If it does not stay up, its log names the reason. Without a worker, no retry and ' +
    'no enqueued message is sent.'
  return { name: 'no_worker', severity, sentence, advice, path: DUE_PATH }
}

const attemptsWait = (attempts: number): string =>
  attempts === 1 ? '1 attempt waits' : `${count(attempts)} attempts wait`

export function queueFindings({ queue }: HealthFigures): Finding[] {
  if (queue.state === 'current') return []
  const [what, advice] =
    queue.state === 'missing'
      ? ['does not exist', 'Run: sms-retry migrate. The sweep then schedules all waiting attempts again.']
      : ['is of an older version', 'Run: sms-retry migrate']
  const sentence = `The job queue (schema sms_retry_pgboss) ${what}: no attempt can be scheduled`
  return [{ name: 'queue_missing', severity: 'critical', sentence, advice, path: DUE_PATH }]
}

export function accountFindings({ now, account, backlog }: HealthFigures): Finding[] {
  const waits = attemptsWait(backlog.due + backlog.deferred)
  const { hold, pause } = account
  const findings: Finding[] = []
  if (hold !== null) {
    const since = duration(secondsBetween(hold.since, now))
    findings.push({
      name: 'hold',
      severity: 'critical',
      sentence: `${describeHold(hold)} (${reasonOf(hold.errorCode)}), for ${since}; ${waits}`,
      advice:
        'Fix the cause at Twilio, or the credentials of all processes. The first successful probe ends the hold. To end it ' +
        'now, run: sms-retry resume',
      path: DUE_PATH,
    })
  }
  if (pause !== null) {
    const since = duration(secondsBetween(pause.since, now))
    findings.push({
      name: 'paused',
      severity: 'warning',
      sentence: `${describePause(pause)} (by ${pause.by}, ${since} ago); ${waits}`,
      advice: 'To send again, run: sms-retry resume',
      path: DUE_PATH,
    })
  }
  return findings
}

/** Empty if another finding, the gap of a restart, the end of a hold or the send rate explains why the attempts wait. */
export function overdueFindings(figures: HealthFigures): Finding[] {
  const { now, account, backlog, rateReservedUntil, queue } = figures
  const { oldestDueAt, due } = backlog
  const isStopped = account.hold !== null || account.pause !== null || queue.state !== 'current'
  const isLimited = rateReservedUntil !== null && isRecent(rateReservedUntil, now)
  const hasJustResumed = account.workingSince !== null && isRecent(account.workingSince, now)
  const workers = liveWorkers(figures)
  if (oldestDueAt === null || isStopped || isLimited || hasJustResumed || workers.length === 0) return []
  const seconds = secondsBetween(oldestDueAt, now)
  const isWorking = workers.some((worker) => mayBeWorking(worker, now))
  if (seconds < (isWorking ? OVERDUE_WHILE_WORKING_SECONDS : OVERDUE_SECONDS)) return []
  const attempts = due === 1 ? '1 attempt is due' : `${count(due)} attempts are due`
  const what = isWorking ? 'although workers make others' : 'and no worker makes one'
  return [
    {
      name: 'retries_overdue',
      severity: isWorking ? 'warning' : 'critical',
      sentence: `${attempts}, the oldest for ${duration(seconds)}, ${what}`,
      advice: isWorking
        ? "Look at the oldest message: its row may be locked or refused. The worker's log names it. If all are late, start more workers."
        : "The workers run but make no attempt. Look at their log for errors of the database or of Twilio's API, and restart them.",
      path: DUE_PATH,
    },
  ]
}

/** A time far ahead means that the clock of the database was set back. */
function isRecent(at: Date, now: Date): boolean {
  const seconds = secondsBetween(at, now)
  return seconds < WORKING_SECONDS && seconds > -MAX_RESERVED_SECONDS
}

/** A worker of an older version does not report its attempts, and one that has just started had no time for one. */
function mayBeWorking({ activity, startedAt }: ObservedInstance, now: Date): boolean {
  return activity === null || secondsBetween(activity.claimedAt ?? startedAt, now) < WORKING_SECONDS
}

export function inDoubtFindings({ now, backlog }: HealthFigures): Finding[] {
  const { inDoubt, oldestInDoubtAt } = backlog
  const seconds = oldestInDoubtAt === null ? 0 : secondsBetween(oldestInDoubtAt, now)
  if (seconds < IN_DOUBT_SECONDS) return []
  const attempts = inDoubt === 1 ? '1 attempt is' : `${count(inDoubt)} attempts are`
  return [
    {
      name: 'in_doubt',
      severity: seconds < IN_DOUBT_CRITICAL_SECONDS ? 'warning' : 'critical',
      sentence: `${attempts} in doubt, the oldest for ${duration(seconds)}: Twilio may or may not have the message`,
      advice:
        "Look for the message in Twilio's log of messages. Then run: sms-retry resolve <id> --sid SM..., or sms-retry resolve <id> " +
        '--not-sent. If all lookups fail, the log of the worker names the reason.',
      path: '/messages?status=submitting',
    },
  ]
}
