// Use case: messages to which nothing has happened for too long. Sets the alarm of an attempt again whose job is gone,
// and has Twilio asked what became of the others (inquire.ts). Any number of processes may do so at once: a row
// that is looked at is not looked at again for a while, and that is written before Twilio is asked.
import pLimit from 'p-limit'
import { findOverdue } from '../db/overdue.ts'
import { decide } from '../delivery/decide.ts'
import type { Decision, Inquiry } from '../delivery/decision.ts'
import { proofOf } from '../delivery/message-proof.ts'
import type { Message } from '../delivery/message.ts'
import { DatabaseError } from '../shared/errors.ts'
import { resolveAttempt } from './resolve-attempts.ts'
import { errorFields } from '../shared/log.ts'
import { jobId, type MessageJob } from '../jobs/queue.ts'
import { type MessageEvent, type LockWait, recordIsolated } from '../recording/record-events.ts'
import type { AttemptDeps } from './run-attempts.ts'

/** What a sweep came to, in messages. */
export interface Reconciled {
  readonly looked: number
  /** Attempts whose job was set again. */
  readonly rungAgain: number
  /** Asked for at Twilio. Of these: */
  readonly asked: number
  /** - Twilio's word was recorded */
  readonly answered: number
  /** - certainly not at Twilio: the same attempt is made again */
  readonly absent: number
  /** - whether Twilio has it cannot be decided: stays in doubt */
  readonly undecided: number
  /** - Twilio could not be asked, or the answer not recorded: asked again later */
  readonly failed: number
  /** Not looked at: somebody has locked the row, or the database refuses to change it. */
  readonly leftOut: number
}

const PAGE_SIZE = 50
/** What is left then is for the next sweep. */
const MAX_PAGES = 100
const MAX_ASKED_AT_ONCE = 10

/** What somebody works on is for the next sweep. */
const SKIPS: LockWait = { lockedRows: 'skip', lockTimeoutMs: 500 }

/** @throws DatabaseError if the database failed: what was not looked at by then is for the next sweep */
export async function reconcile(deps: AttemptDeps, signal?: AbortSignal): Promise<Reconciled> {
  const sum = {
    looked: 0,
    rungAgain: 0,
    asked: 0,
    answered: 0,
    absent: 0,
    undecided: 0,
    failed: 0,
    leftOut: 0,
  }
  const leftOut: number[] = []
  for (let pages = 0; pages < MAX_PAGES && signal?.aborted !== true; pages += 1) {
    const { isDone, looked, inquiries, rungAgain } = await claimOverdue(deps, leftOut)
    if (isDone) break
    sum.looked += looked
    sum.rungAgain += rungAgain
    deps.metrics.reconciled.rung_again.inc(rungAgain)
    sum.asked += inquiries.length
    const inTurn = pLimit(MAX_ASKED_AT_ONCE)
    const outcomes = await Promise.all(
      inquiries.map((inquiry) =>
        inTurn(() => (signal?.aborted ? 'failed' : resolveAttempt(deps, inquiry, signal))),
      ),
    )
    for (const outcome of outcomes) {
      sum[outcome] += 1
      deps.metrics.reconciled[outcome].inc()
    }
    // Twilio is away: there is no point in asking for the rest.
    if (outcomes.length > 0 && outcomes.every((outcome) => outcome === 'failed')) break
  }
  sum.leftOut = leftOut.length
  deps.metrics.reconciled.left_out.inc(sum.leftOut)
  if (sum.looked > 0) deps.logger.info('Overdue messages reconciled', sum)
  return sum
}

/**
 * Looks at a page of overdue messages, and sees to it that nobody else does so for a while.
 *
 * @param leftOut messages that are left out; those that somebody has locked, and those that the database refuses to
 *   change, are added
 */
async function claimOverdue(
  deps: AttemptDeps,
  leftOut: number[],
): Promise<{ isDone: boolean; looked: number; inquiries: Inquiry[]; rungAgain: number }> {
  const overdue = await findOverdue(deps.database, PAGE_SIZE, [...deps.refused.current(), ...leftOut])
  const [first] = overdue
  if (first === undefined) return { isDone: true, looked: 0, inquiries: [], rungAgain: 0 }
  const jobs = overdue.flatMap(({ message }) => jobOf(message) ?? [])
  const set = await deps.queue.findScheduled(jobs, first.now)
  const { account } = deps.twilio.identity
  const looks = overdue.map(({ message }): MessageEvent => {
    const job = jobOf(message)
    const isJobScheduled = job !== null && set.has(jobId(job))
    const target = { id: message.id, proof: proofOf(message) }
    return { target, event: { kind: 'reconcile', isJobScheduled, account } }
  })
  let blocked: Error | undefined
  const results = await recordIsolated(deps, looks, SKIPS)
  const recorded = results.map((result, i) => {
    if (result.status === 'fulfilled') return result.value
    // A database that is lost stops all. A row that somebody blocks is left out of this sweep; one that the database
    // refuses, of the next ones as well.
    const { reason } = result
    if (!(reason instanceof DatabaseError) || reason.scope === 'database') throw reason
    if (reason.isRefusal) deps.refused.add(overdue[i]?.message.id ?? Number.NaN, reason)
    else blocked ??= reason
    return { known: false } as const
  })
  for (const [i, { message }] of overdue.entries()) {
    if (recorded[i]?.known === true) continue
    leftOut.push(message.id)
    deps.logger.debug('An overdue message is locked or refused', { messageId: message.id })
  }
  if (blocked !== undefined) deps.logger.warn(BLOCKED, errorFields(blocked))
  const decisions = recorded.flatMap((outcome) =>
    outcome.known && outcome.decision.kind !== 'ignore' ? [outcome.decision] : [],
  )
  for (const decision of decisions) logLook(deps, decision)
  return {
    isDone: false,
    looked: decisions.length,
    inquiries: decisions.flatMap((decision) => (decision.kind === 'inquire' ? [decision.inquiry] : [])),
    rungAgain: decisions.filter(({ kind }) => kind === 'schedule').length,
  }
}

const BLOCKED =
  'Overdue messages could not be written: a lock, a conflict or a time-out is in the way. The next sweep tries again'

/** The alarm of the attempt that waits, if one does. */
function jobOf({ id: messageId, key, status, retryCount, attempts }: Message): MessageJob | null {
  if (status !== 'pending' && status !== 'retrying') return null
  const postponements = attempts.find(({ number }) => number === retryCount)?.postponements ?? 0
  return { messageId, key, attempt: retryCount, postponements }
}

function logLook({ logger }: AttemptDeps, decision: Exclude<Decision, { kind: 'ignore' }>): void {
  const { id: messageId, status, retryCount: attempt, nextRetryAt } = decision.message
  if (decision.kind !== 'schedule') return
  logger.warn('A due attempt was not made; its alarm is set again', {
    messageId,
    attempt,
    status,
    nextRetryAt,
  })
}

/** One overdue message, and what a sweep would do. */
export interface PlannedLook {
  readonly messageId: number
  readonly attempt: number
  readonly status: Message['status']
  readonly plan:
    | 'set its alarm again, if it is gone'
    | 'ask Twilio for its status'
    | "look for it in Twilio's list"
    | 'wait'
}

/** What `reconcile` would do first, without doing it. Changes nothing. */
export async function planReconcile(
  { database, policy }: Pick<AttemptDeps, 'database' | 'policy'>,
  limit: number,
): Promise<PlannedLook[]> {
  const overdue = await findOverdue(database, limit)
  return overdue.map(({ message, now }) => {
    const decision = decide(message, { kind: 'reconcile', isJobScheduled: false }, { policy, now, random: 0 })
    return {
      messageId: message.id,
      attempt: message.retryCount,
      status: message.status,
      plan: planOf(decision),
    }
  })
}

function planOf(decision: Decision): PlannedLook['plan'] {
  if (decision.kind === 'schedule') return 'set its alarm again, if it is gone'
  if (decision.kind !== 'inquire') return 'wait'
  return decision.inquiry.sid === null ? "look for it in Twilio's list" : 'ask Twilio for its status'
}
