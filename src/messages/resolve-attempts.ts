// Use case: looks up an attempt at Twilio and records the result. An attempt with a sid is fetched; an attempt in doubt is
// searched for in Twilio's message list.
import { areTooMany, findOthers, readClock } from '../db/overdue.ts'
import type { Inquiry } from '../delivery/decision.ts'
import type { Event, Message } from '../delivery/message.ts'
import { LATEST_ACCEPTANCE_SECONDS } from '../delivery/reconcile-time.ts'
import type { AttemptStatus } from '../delivery/status.ts'
import { DatabaseError, OverloadedError } from '../shared/errors.ts'
import { errorFields } from '../shared/log.ts'
import { rewrittenForm } from '../shared/phone-number.ts'
import type { AttemptDeps } from './run-attempts.ts'

export type Outcome = 'answered' | 'absent' | 'undecided' | 'failed'

/** Never throws for a failed lookup: a later sweep repeats it. */
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
      deps.logger.warn('Could not look up an attempt at Twilio', { messageId, attempt, ...event })
      return 'failed'
    }
    if (event.kind === 'missing') {
      deps.logger.warn('Twilio no longer has the message of an attempt', {
        messageId,
        attempt,
        sid: inquiry.sid,
      })
    }
    const recorded = await deps.recorder.record({ target: { id: messageId, proof: { key, to } }, event })
    // The row was deleted, or a callback came first.
    if (!recorded.known || recorded.decision.kind === 'ignore') return 'answered'
    const { before, decision } = recorded
    if (isMissedReport(before, decision.message, attempt)) deps.metrics.activity.missed()
    return logFinding(deps, inquiry, before, decision.message)
  } catch (error) {
    if (!(error instanceof DatabaseError || error instanceof OverloadedError)) throw error
    deps.logger.error('Could not record the status of an attempt', {
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
  logger.warn('Twilio reports a status that this version does not know; it is ignored', {
    messageId,
    sid,
    status,
  })
}

/** Twilio's list is read back to this many seconds before the claim. */
const MARGIN_SECONDS = 60

/** After this time, no further page of the list is requested. */
const LIST_SECONDS = 20

/** Twilio's times are in whole seconds. */
const ROUNDING_SECONDS = 2

async function searchMessageList(
  { twilio, database, logger }: AttemptDeps,
  { messageId, attempt, to, claimedAt }: Inquiry,
  signal: AbortSignal | undefined,
): Promise<Event | Failure> {
  const before = await readClock(database)
  const sinceClaim = (before.getTime() - claimedAt.getTime()) / 1000
  // A long list must not delay the sweep, which waits for all its lookups.
  const timeout = AbortSignal.timeout(LIST_SECONDS * 1000)
  const stopSignal = signal === undefined ? timeout : AbortSignal.any([signal, timeout])
  const answer = await twilio.list(to, sinceClaim + MARGIN_SECONDS, stopSignal)
  if (answer.outcome === 'unavailable') return { reason: answer.reason }
  // The age of an entry, by Twilio's clock, is subtracted from the database's time. So the error is at most the time
  // that reading the list took. This machine's clock is not used: the machine may have been suspended meanwhile.
  const after = await readClock(database)
  const entries = answer.messages.map(({ ageSeconds, unknownStatus, ...message }) => {
    logUnknownStatus(logger, messageId, message.sid, unknownStatus)
    return { ...message, createdAt: new Date(after.getTime() - ageSeconds * 1000) }
  })
  const toleranceSeconds = ROUNDING_SECONDS + (after.getTime() - before.getTime()) / 1000
  // If the machine was suspended before the request, the list was read back to the wrong age.
  if (toleranceSeconds > MARGIN_SECONDS)
    return { reason: "too much time passed while Twilio's list was read" }
  // The others are read after the list: a message that owns an entry has recorded its sid by now, or is `submitting`.
  const rivalSeconds = LATEST_ACCEPTANCE_SECONDS + 2 * toleranceSeconds
  const since = new Date(claimedAt.getTime() - rivalSeconds * 1000)
  const sids = entries.map(({ sid }) => sid)
  const others = sids.length === 0 ? [] : await findOthers(database, { messageId, to, since, sids })
  const isComplete = answer.isComplete && !areTooMany(others)
  const isRewritten = rewrittenForm(to) !== null
  return { kind: 'listed', attempt, claimedAt, entries, isRewritten, toleranceSeconds, isComplete, others }
}

const REPORTED: ReadonlySet<AttemptStatus> = new Set(['sent', 'delivered', 'read', 'undelivered', 'failed'])

/** Whether the lookup found a status of our own request to Twilio that a status callback should have reported. */
function isMissedReport(before: Message, after: Message, attempt: number): boolean {
  const [earlier, entry] = [before, after].map(({ attempts }) =>
    attempts.find(({ number }) => number === attempt),
  )
  if (earlier?.times.submitting === undefined || earlier.sid === null || entry === undefined) return false
  return entry.status !== earlier.status && REPORTED.has(entry.status)
}

function logFinding(
  { logger }: AttemptDeps,
  { messageId, attempt, sid }: Inquiry,
  before: Message,
  { status, reason, nextRetryAt, attempts, reconcileAt }: Message,
): Outcome {
  if (sid !== null) {
    // The reason is not logged: it may be a text that the app wrote.
    const lookupFields = { messageId, attempt, sid, status, nextRetryAt }
    const isChanged = status !== before.status || reconcileAt === 'never'
    logger[isChanged ? 'info' : 'debug']('Looked up an attempt at Twilio', lookupFields)
    return 'answered'
  }
  const fields = { messageId, attempt, status, reason, nextRetryAt }
  const entry = attempts.find(({ number }) => number === attempt)
  if (entry?.status === 'submitting') {
    logger.warn('An attempt stays in doubt', fields)
    return 'undecided'
  }
  if (entry === undefined || entry.status === 'pending') {
    logger.warn('Twilio does not have an attempt in doubt; it is made again', fields)
    return 'absent'
  }
  logger.warn('An attempt in doubt was found at Twilio', { ...fields, sid: entry.sid })
  return 'answered'
}
