// Use case: messages to which nothing has happened for too long. Sets the alarm of an attempt again whose job is gone,
// asks Twilio what became of the others, and records what it says. Any number of processes may do so at once: a row
// that is looked at is not looked at again for a while, and that is written before Twilio is asked.
import pLimit from 'p-limit'
import { areTooMany, findOthers, findOverdue, readClock } from './db/overdue.ts'
import { decide } from './delivery/decide.ts'
import type { Decision, Inquiry } from './delivery/decision.ts'
import type { Event, Message } from './delivery/message.ts'
import { LATEST_ACCEPTANCE_SECONDS } from './delivery/reconcile-time.ts'
import { DatabaseError } from './errors.ts'
import { errorFields } from './log.ts'
import { recordEvents } from './record-events.ts'
import type { AttemptDeps } from './run-attempts.ts'

/** What a sweep came to, in messages. */
export interface Reconciled {
  readonly looked: number
  /** Attempts whose alarm was set again. */
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
}

type Outcome = 'answered' | 'absent' | 'undecided' | 'failed'

const PAGE_SIZE = 50
/** What is left then is for the next sweep. */
const MOST_PAGES = 100
const MOST_ASKED_AT_ONCE = 10

/** @throws DatabaseError if the database failed: what was not looked at by then is for the next sweep */
export async function reconcile(deps: AttemptDeps, signal?: AbortSignal): Promise<Reconciled> {
  const sum = { looked: 0, rungAgain: 0, asked: 0, answered: 0, absent: 0, undecided: 0, failed: 0 }
  for (let pages = 0; pages < MOST_PAGES && signal?.aborted !== true; pages += 1) {
    const { messages, inquiries, rungAgain } = await claimOverdue(deps)
    // None left; or all of them have been looked at by somebody else in the meantime.
    if (messages === 0) break
    sum.looked += messages
    sum.rungAgain += rungAgain
    sum.asked += inquiries.length
    const inTurn = pLimit(MOST_ASKED_AT_ONCE)
    const outcomes = await Promise.all(
      inquiries.map((inquiry) => inTurn(() => (signal?.aborted ? 'failed' : ask(deps, inquiry, signal)))),
    )
    for (const outcome of outcomes) sum[outcome] += 1
    // Twilio is away: there is no point in asking for the rest.
    if (outcomes.length > 0 && outcomes.every((outcome) => outcome === 'failed')) break
  }
  if (sum.looked > 0) deps.logger.info('Overdue messages reconciled', sum)
  return sum
}

/** Looks at a page of overdue messages, and sees to it that nobody else does so for a while. */
async function claimOverdue(
  deps: AttemptDeps,
): Promise<{ messages: number; inquiries: Inquiry[]; rungAgain: number }> {
  const overdue = await findOverdue(deps.database, PAGE_SIZE)
  if (overdue.length === 0) return { messages: 0, inquiries: [], rungAgain: 0 }
  const recorded = await recordEvents(
    deps,
    overdue.map(({ message }) => ({ target: { id: message.id }, event: { kind: 'reconcile' } as const })),
  )
  const decisions = recorded.flatMap((outcome) =>
    outcome.known && outcome.decision.kind !== 'ignore' ? [outcome.decision] : [],
  )
  for (const decision of decisions) logLook(deps, decision)
  return {
    messages: decisions.length,
    inquiries: decisions.flatMap((decision) => (decision.kind === 'inquire' ? [decision.inquiry] : [])),
    rungAgain: decisions.filter(({ kind }) => kind === 'schedule').length,
  }
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

/** Never rejects: an inquiry that fails is made again later. */
async function ask(deps: AttemptDeps, inquiry: Inquiry, signal?: AbortSignal): Promise<Outcome> {
  const { messageId, attempt } = inquiry
  try {
    const event = await (inquiry.sid === null
      ? look(deps, inquiry, signal)
      : fetchReport(deps, inquiry, inquiry.sid))
    if ('reason' in event) {
      deps.logger.warn('What became of an attempt could not be asked for', { messageId, attempt, ...event })
      return 'failed'
    }
    if (event.kind === 'missing') {
      deps.logger.warn('Twilio does not know an attempt any more', { messageId, attempt, sid: inquiry.sid })
    }
    const [recorded] = await recordEvents(deps, [{ target: { id: messageId }, event }])
    // Deleted, or told by a callback meanwhile.
    if (recorded?.known !== true || recorded.decision.kind === 'ignore') return 'answered'
    return logFinding(deps, inquiry, recorded.decision.message)
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error
    deps.logger.error('What became of an attempt could not be recorded', {
      messageId,
      attempt,
      ...errorFields(error),
    })
    return 'failed'
  }
}

interface Failure {
  readonly reason: string
}

async function fetchReport(
  { twilio }: AttemptDeps,
  { attempt }: Inquiry,
  sid: string,
): Promise<Event | Failure> {
  const answer = await twilio.fetch(sid)
  switch (answer.outcome) {
    case 'found':
      return { kind: 'report', attempt, ...answer.message }
    case 'missing':
      return { kind: 'missing' }
    case 'unavailable':
      return { reason: answer.reason }
  }
}

/** Twilio's list is read back to a little before the claim. */
const MARGIN_SECONDS = 60

/** Twilio's times are whole seconds. */
const ROUNDING_SECONDS = 2

async function look(
  { twilio, database }: AttemptDeps,
  { messageId, attempt, to, claimedAt }: Inquiry,
  signal: AbortSignal | undefined,
): Promise<Event | Failure> {
  const before = await readClock(database)
  const sinceClaim = (before.getTime() - claimedAt.getTime()) / 1000
  const answer = await twilio.list(to, sinceClaim + MARGIN_SECONDS, signal)
  if (answer.outcome === 'unavailable') return { reason: answer.reason }
  // Ages are by Twilio's clock alone, and so the entries' times by the database's; as exactly as the list was quick.
  // This process's own clocks are not to be trusted: a machine that was suspended meanwhile does not know it.
  const after = await readClock(database)
  const entries = answer.messages.map(({ ageSeconds, ...message }) => ({
    ...message,
    createdAt: new Date(after.getTime() - ageSeconds * 1000),
  }))
  const toleranceSeconds = ROUNDING_SECONDS + (after.getTime() - before.getTime()) / 1000
  // After the list was read: whoever has one of its entries by now, has recorded it or is `submitting`.
  const earliestRival = LATEST_ACCEPTANCE_SECONDS + 2 * toleranceSeconds
  const since = new Date(claimedAt.getTime() - earliestRival * 1000)
  const sids = entries.map(({ sid }) => sid)
  const others = sids.length === 0 ? [] : await findOthers(database, { messageId, to, since, sids })
  const isComplete = answer.isComplete && !areTooMany(others)
  return { kind: 'listed', attempt, claimedAt, entries, toleranceSeconds, isComplete, others }
}

function logFinding(
  { logger }: AttemptDeps,
  { messageId, attempt, sid }: Inquiry,
  { status, reason, nextRetryAt, attempts }: Message,
): Outcome {
  if (sid !== null) {
    // Not the reason: in a row of others, it may be a text of the app's own.
    const known = { messageId, attempt, sid, status, nextRetryAt }
    logger.info('Twilio was asked for the status of an attempt', known)
    return 'answered'
  }
  const fields = { messageId, attempt, status, reason, nextRetryAt }
  const entry = attempts.find(({ number }) => number === attempt)
  if (entry?.status === 'submitting') {
    logger.warn('An attempt stays in doubt', fields)
    return 'undecided'
  }
  if (entry === undefined || entry.status === 'pending') {
    logger.warn('An attempt in doubt is not at Twilio; it is made again', fields)
    return 'absent'
  }
  logger.warn('An attempt in doubt was found at Twilio', { ...fields, sid: entry.sid })
  return 'answered'
}

/** One overdue message, and what a sweep would do. */
export interface PlannedLook {
  readonly messageId: number
  readonly attempt: number
  readonly status: Message['status']
  readonly plan: 'set its alarm again' | 'ask Twilio for its status' | "look for it in Twilio's list" | 'wait'
}

/** What `reconcile` would do first, without doing it. Changes nothing. */
export async function planReconcile(
  { database, policy }: Pick<AttemptDeps, 'database' | 'policy'>,
  limit: number,
): Promise<PlannedLook[]> {
  const overdue = await findOverdue(database, limit)
  return overdue.map(({ message, now }) => {
    const decision = decide(message, { kind: 'reconcile' }, { policy, now, random: 0 })
    return {
      messageId: message.id,
      attempt: message.retryCount,
      status: message.status,
      plan: planOf(decision),
    }
  })
}

function planOf(decision: Decision): PlannedLook['plan'] {
  if (decision.kind === 'schedule') return 'set its alarm again'
  if (decision.kind !== 'inquire') return 'wait'
  return decision.inquiry.sid === null ? "look for it in Twilio's list" : 'ask Twilio for its status'
}
