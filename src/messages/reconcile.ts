// Use case: reconciles overdue messages. Reschedules attempts whose job is lost, and looks up the others at Twilio
// (resolve-attempts.ts). Several processes may do this at the same time: each claims a row, by moving its
// `reconcile_at`, before it looks it up.
import pLimit from 'p-limit'
import { findOverdue } from '../db/overdue.ts'
import { WORKING_ACCOUNT } from '../delivery/account-state.ts'
import { decide } from '../delivery/decide.ts'
import type { Decision, Inquiry } from '../delivery/decision.ts'
import { proofOf } from '../delivery/message-proof.ts'
import type { Message } from '../delivery/message.ts'
import { DatabaseError } from '../shared/errors.ts'
import { resolveAttempt } from './resolve-attempts.ts'
import { errorFields } from '../shared/log.ts'
import { jobId, type MessageJob } from '../jobs/job-id.ts'
import { type MessageEvent, type LockWait, recordIsolated } from '../recording/record-events.ts'
import type { AttemptDeps } from './run-attempts.ts'

/** The result of a sweep: numbers of messages. `reconcile --json` prints these names. */
export interface Reconciled {
  /** Messages that were checked. */
  readonly looked: number
  /** Waiting attempts that were rescheduled. */
  readonly rungAgain: number
  /** Messages that were looked up at Twilio. Of these: */
  readonly asked: number
  /** - Twilio's status was recorded */
  readonly answered: number
  /** - certainly not at Twilio: the same attempt is made again */
  readonly absent: number
  /** - still in doubt */
  readonly undecided: number
  /** - the lookup failed, or its result could not be recorded: looked up again later */
  readonly failed: number
  /** Messages that were not checked: the row is locked, or the database refuses to change it. */
  readonly leftOut: number
}

const PAGE_SIZE = 50
/** Further messages are left for the next sweep. */
const MAX_PAGES = 100
const MAX_CONCURRENT_LOOKUPS = 10

/** Rows that another transaction has locked are left for the next sweep. */
const SKIP_LOCKED: LockWait = { lockedRows: 'skip', lockTimeoutMs: 500 }

/** @throws DatabaseError if the database failed: the remaining messages are left for the next sweep */
export async function reconcile(deps: AttemptDeps, signal?: AbortSignal): Promise<Reconciled> {
  const counts = { looked: 0, rungAgain: 0, asked: 0, answered: 0, absent: 0, undecided: 0, failed: 0 }
  const leftOut: number[] = []
  for (let pages = 0; pages < MAX_PAGES && signal?.aborted !== true; pages += 1) {
    const { isDone, looked, inquiries, rungAgain } = await claimOverdue(deps, leftOut)
    if (isDone) break
    counts.looked += looked
    counts.rungAgain += rungAgain
    deps.metrics.reconciled.rung_again.inc(rungAgain)
    counts.asked += inquiries.length
    const limit = pLimit(MAX_CONCURRENT_LOOKUPS)
    const outcomes = await Promise.all(
      inquiries.map((inquiry) =>
        limit(() => (signal?.aborted ? 'failed' : resolveAttempt(deps, inquiry, signal))),
      ),
    )
    for (const outcome of outcomes) {
      counts[outcome] += 1
      deps.metrics.reconciled[outcome].inc()
    }
    // If every lookup failed, Twilio is unavailable, and further lookups would fail as well.
    if (outcomes.length > 0 && outcomes.every((outcome) => outcome === 'failed')) break
  }
  const reconciled = { ...counts, leftOut: leftOut.length }
  deps.metrics.reconciled.left_out.inc(reconciled.leftOut)
  if (reconciled.looked > 0) deps.logger.info('Overdue messages reconciled', reconciled)
  return reconciled
}

/**
 * Claims a page of overdue messages, so that no other process reconciles them for a while, and reschedules lost jobs.
 *
 * @param leftOut ids of messages to skip. The ids of locked and refused rows are added
 */
async function claimOverdue(
  deps: AttemptDeps,
  leftOut: number[],
): Promise<{ isDone: boolean; looked: number; inquiries: Inquiry[]; rungAgain: number }> {
  const overdue = await findOverdue(deps.database, PAGE_SIZE, [...deps.refused.current(), ...leftOut])
  const [first] = overdue
  if (first === undefined) return { isDone: true, looked: 0, inquiries: [], rungAgain: 0 }
  const jobs = overdue.flatMap(({ message }) => jobOf(message) ?? [])
  const scheduled = await deps.queue.findScheduled(jobs, first.now)
  const { account } = deps.twilio.identity
  const messageEvents = overdue.map(({ message }): MessageEvent => {
    const job = jobOf(message)
    const isJobScheduled = job !== null && scheduled.has(jobId(job))
    const target = { id: message.id, proof: proofOf(message) }
    return { target, event: { kind: 'reconcile', isJobScheduled, account } }
  })
  let blocked: Error | undefined
  const results = await recordIsolated(deps, messageEvents, SKIP_LOCKED)
  const recorded = results.map((result, i) => {
    if (result.status === 'fulfilled') return result.value
    // If the database is unavailable, the sweep ends. A blocked row is skipped in this sweep, a refused row in the next
    // ones as well.
    const { reason } = result
    if (!(reason instanceof DatabaseError) || reason.scope === 'database') throw reason
    if (reason.isRefusal) deps.refused.add(overdue[i]?.message.id ?? Number.NaN, reason)
    else blocked ??= reason
    return { known: false } as const
  })
  for (const [i, { message }] of overdue.entries()) {
    if (recorded[i]?.known === true) continue
    leftOut.push(message.id)
    deps.logger.debug('Skipped an overdue message: its row is locked, or the database refuses to change it', {
      messageId: message.id,
    })
  }
  if (blocked !== undefined) deps.logger.warn(BLOCKED, errorFields(blocked))
  const decisions = recorded.flatMap((outcome) =>
    outcome.known && outcome.decision.kind !== 'ignore' ? [outcome.decision] : [],
  )
  for (const decision of decisions) if (decision.kind === 'schedule') logRescheduled(deps, decision.message)
  return {
    isDone: false,
    looked: decisions.length,
    inquiries: decisions.flatMap((decision) => (decision.kind === 'inquire' ? [decision.inquiry] : [])),
    rungAgain: decisions.filter(({ kind }) => kind === 'schedule').length,
  }
}

const BLOCKED =
  'Could not write overdue messages because of a lock, a conflict or a time-out. The next sweep tries again'

/** The job of the waiting attempt; null if none waits. */
function jobOf({ id: messageId, key, status, retryCount, attempts }: Message): MessageJob | null {
  if (status !== 'pending' && status !== 'retrying') return null
  const postponements = attempts.find(({ number }) => number === retryCount)?.postponements ?? 0
  return { messageId, key, attempt: retryCount, postponements }
}

function logRescheduled({ logger }: AttemptDeps, message: Message): void {
  const { id: messageId, status, retryCount: attempt, nextRetryAt } = message
  const fields = { messageId, attempt, status, nextRetryAt }
  logger.warn('A due attempt had no job; a new job is scheduled', fields)
}

/** One overdue message, and what a sweep would do with it. */
export interface PlannedCheck {
  readonly messageId: number
  readonly attempt: number
  readonly status: Message['status']
  readonly plan:
    | 'reschedule its job, if it is gone'
    | 'ask Twilio for its status'
    | "look for it in Twilio's list"
    | 'end it, as its deadline has passed'
    | 'wait'
}

/** What `reconcile` would do with the first `limit` overdue messages. Changes nothing. */
export async function planReconcile(
  { database, policy, circumstances }: Pick<AttemptDeps, 'database' | 'policy' | 'circumstances'>,
  limit: number,
): Promise<PlannedCheck[]> {
  const overdue = await findOverdue(database, limit)
  return overdue.map(({ message, now }) => {
    const context = { policy, circumstances, account: WORKING_ACCOUNT, now, random: 0 }
    const decision = decide(message, { kind: 'reconcile', isJobScheduled: false }, context)
    return {
      messageId: message.id,
      attempt: message.retryCount,
      status: message.status,
      plan: planOf(decision),
    }
  })
}

function planOf(decision: Decision): PlannedCheck['plan'] {
  if (decision.kind === 'schedule') return 'reschedule its job, if it is gone'
  if (decision.kind === 'unschedule') return 'end it, as its deadline has passed'
  if (decision.kind !== 'inquire') return 'wait'
  return decision.inquiry.sid === null ? "look for it in Twilio's list" : 'ask Twilio for its status'
}
