// Use case: asks Twilio what became of an attempt, and records what it says. An attempt that has a sid is fetched; one
// in doubt is looked for in Twilio's message list. What follows is decided in delivery/.
import { areTooMany, findOthers, readClock } from '../db/overdue.ts'
import type { Inquiry } from '../delivery/decision.ts'
import type { Event, Message } from '../delivery/message.ts'
import { LATEST_ACCEPTANCE_SECONDS } from '../delivery/reconcile-time.ts'
import { DatabaseError, OverloadedError } from '../shared/errors.ts'
import { errorFields } from '../shared/log.ts'
import { rewrittenForm } from './number-form.ts'
import type { AttemptDeps } from './run-attempts.ts'

export type Outcome = 'answered' | 'absent' | 'undecided' | 'failed'

/** An inquiry that fails is made again later. */
export async function resolveAttempt(
  deps: AttemptDeps,
  inquiry: Inquiry,
  signal?: AbortSignal,
): Promise<Outcome> {
  const { messageId, key, to, attempt } = inquiry
  try {
    const event = await (inquiry.sid === null
      ? searchMessageList(deps, inquiry, signal)
      : fetchReport(deps, inquiry, inquiry.sid))
    if ('reason' in event) {
      deps.logger.warn('What became of an attempt could not be asked for', { messageId, attempt, ...event })
      return 'failed'
    }
    if (event.kind === 'missing') {
      deps.logger.warn('Twilio does not know an attempt any more', { messageId, attempt, sid: inquiry.sid })
    }
    const recorded = await deps.recorder.record({ target: { id: messageId, proof: { key, to } }, event })
    // Deleted, or told by a callback meanwhile.
    if (!recorded.known || recorded.decision.kind === 'ignore') return 'answered'
    return logFinding(deps, inquiry, recorded.before, recorded.decision.message)
  } catch (error) {
    if (!(error instanceof DatabaseError || error instanceof OverloadedError)) throw error
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
  { twilio, logger }: AttemptDeps,
  { messageId, attempt }: Inquiry,
  sid: string,
): Promise<Event | Failure> {
  const answer = await twilio.fetch(sid)
  switch (answer.outcome) {
    case 'found': {
      const { unknownStatus, ...report } = answer.message
      logUnknownStatus(logger, messageId, sid, unknownStatus)
      return { kind: 'fetched', attempt, ...report }
    }
    case 'missing':
      return { kind: 'missing' }
    case 'unavailable':
      return { reason: answer.reason }
  }
}

function logUnknownStatus(
  logger: AttemptDeps['logger'],
  messageId: number,
  sid: string,
  status: string | undefined,
): void {
  if (status === undefined) return
  logger.warn('Twilio has a status that this version does not know; it changes nothing', {
    messageId,
    sid,
    status,
  })
}

/** Twilio's list is read back to a little before the claim. */
const MARGIN_SECONDS = 60

/** No further page of the list is asked for then; the last one may take a request's own time. */
const LIST_SECONDS = 20

/** Twilio's times are whole seconds. */
const ROUNDING_SECONDS = 2

async function searchMessageList(
  { twilio, database, logger }: AttemptDeps,
  { messageId, attempt, to, claimedAt }: Inquiry,
  signal: AbortSignal | undefined,
): Promise<Event | Failure> {
  const before = await readClock(database)
  const sinceClaim = (before.getTime() - claimedAt.getTime()) / 1000
  // One number's list must not hold up a sweep, which waits for all whom it has asked for.
  const limit = AbortSignal.timeout(LIST_SECONDS * 1000)
  const untilThen = signal === undefined ? limit : AbortSignal.any([signal, limit])
  const answer = await twilio.list(to, sinceClaim + MARGIN_SECONDS, untilThen)
  if (answer.outcome === 'unavailable') return { reason: answer.reason }
  // Ages are by Twilio's clock alone, and so the entries' times by the database's; as exactly as the list was quick.
  // This process's own clocks are not to be trusted: a machine that was suspended meanwhile does not know it.
  const after = await readClock(database)
  const entries = answer.messages.map(({ ageSeconds, unknownStatus, ...message }) => {
    logUnknownStatus(logger, messageId, message.sid, unknownStatus)
    return { ...message, createdAt: new Date(after.getTime() - ageSeconds * 1000) }
  })
  const toleranceSeconds = ROUNDING_SECONDS + (after.getTime() - before.getTime()) / 1000
  // A machine that was suspended before it asked: the list was cut off at an age that was right when it fell asleep.
  if (toleranceSeconds > MARGIN_SECONDS) return { reason: 'too much time passed while the list was read' }
  // After the list was read: whoever has one of its entries by now, has recorded it or is `submitting`.
  const earliestRival = LATEST_ACCEPTANCE_SECONDS + 2 * toleranceSeconds
  const since = new Date(claimedAt.getTime() - earliestRival * 1000)
  const sids = entries.map(({ sid }) => sid)
  const others = sids.length === 0 ? [] : await findOthers(database, { messageId, to, since, sids })
  const isComplete = answer.isComplete && !areTooMany(others)
  const isRewritten = rewrittenForm(to) !== null
  return { kind: 'listed', attempt, claimedAt, entries, isRewritten, toleranceSeconds, isComplete, others }
}

function logFinding(
  { logger }: AttemptDeps,
  { messageId, attempt, sid }: Inquiry,
  before: Message,
  { status, reason, nextRetryAt, attempts, reconcileAt }: Message,
): Outcome {
  if (sid !== null) {
    // Not the reason: in a row of others, it may be a text of the app's own.
    const known = { messageId, attempt, sid, status, nextRetryAt }
    const isNews = status !== before.status || reconcileAt === 'never'
    logger[isNews ? 'info' : 'debug']('Twilio was asked for the status of an attempt', known)
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
