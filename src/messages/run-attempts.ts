// Use case: makes due attempts. Claims each one in the database, submits it to Twilio while no transaction is open, and
// records the answer.
import { findWaiting } from '../db/messages.ts'
import type { Submission } from '../delivery/decision.ts'
import type { Answer, Message } from '../delivery/message.ts'
import { CLAIM_VALID_SECONDS } from '../delivery/reconcile-time.ts'
import { DatabaseError } from '../shared/errors.ts'
import type { RecordingDeps } from '../recording/event-recorder.ts'
import { errorFields, type Logger } from '../shared/log.ts'
import type { AttemptJob, FailedJobs } from '../jobs/queue.ts'
import { type RecordResult, retryOnDatabaseError } from '../recording/record-events.ts'
import { inSpan, type OpenSpan } from '../shared/tracing.ts'
import type { TwilioClient } from '../twilio/client.ts'

export interface AttemptDeps extends RecordingDeps {
  readonly twilio: TwilioClient
}

interface Claim {
  readonly submission: Submission
  /** The span that sent the message. */
  readonly traceparent: string | null
}

/**
 * Claims a due attempt.
 *
 * @param probe the number of the probe that it makes while the account is on hold
 * @returns null if the attempt was already claimed or is no longer needed, or if the database refuses to change the row
 * @throws DatabaseError if the database failed: the attempt must not be submitted
 */
async function claimAttempt(
  deps: AttemptDeps,
  { message, attempt }: AttemptJob,
  probe: number | null = null,
): Promise<Claim | null> {
  const { identity } = deps.twilio
  const event = { kind: 'due', attempt, identity, ...(probe === null ? {} : { probe }) } as const
  const outcome = await deps.recorder.record({ target: { id: message }, event }).catch((error: unknown) => {
    if (error instanceof DatabaseError && error.isRefusal) {
      deps.refused.add(message, error)
      return null
    }
    const fields = { messageId: message, attempt, ...errorFields(error) }
    deps.logger.warn('Could not claim a due attempt; its job runs again', fields)
    throw error
  })
  if (outcome === null) return null
  if (outcome.known && outcome.decision.kind === 'submit') {
    const { submission } = outcome.decision
    deps.metrics.claimed(outcome.before, submission.claimedAt)
    return { submission, traceparent: outcome.traceparent }
  }
  logNotSubmitted(deps.logger, { message, attempt }, outcome)
  return null
}

/**
 * Submits a claimed attempt and records the answer.
 *
 * @param sinceClaim started before the claim was written
 * @param traceparent the span that sent the message, if it has ended; left out if it is the active one
 * @returns the message after the answer
 * @throws DatabaseError if the answer could not be recorded. The attempt then stays in doubt, and the error is logged
 */
export function submitAttempt(
  deps: AttemptDeps,
  submission: Submission,
  sinceClaim: Stopwatch,
  traceparent?: string | null,
): Promise<Message> {
  const { messageId, attempt } = submission
  const attributes = { 'messaging.message.id': `${messageId}`, 'sms_retry.attempt': attempt }
  return inSpan('attempt', { kind: 'CLIENT', attributes, linkTo: traceparent }, (span) =>
    submitAndRecord(deps, submission, sinceClaim, span),
  )
}

async function submitAndRecord(
  deps: AttemptDeps,
  submission: Submission,
  sinceClaim: Stopwatch,
  span: OpenSpan | null,
): Promise<Message> {
  const { messageId, key, to, attempt, claimedAt } = submission
  try {
    const remaining = remainingOf(submission, sinceClaim() / 1000)
    const { answer, processingTimeMs } =
      remaining === null ? { answer: CLAIMED_TOO_LATE, processingTimeMs: 0 } : await submit(deps, remaining)
    if (span !== null) describeAnswer(span, answer)
    const event = { kind: 'answer', attempt, claimedAt, answer, processingTimeMs } as const
    const messageEvent = { target: { id: messageId, proof: { key, to } }, event }
    const recorded = await retryOnDatabaseError(
      () => deps.recorder.record(messageEvent),
      RECORD_RETRY_DELAYS_MS,
    )
    if (!recorded.known) {
      throw new DatabaseError(`Message ${messageId} was deleted while its attempt was submitted`)
    }
    const { before, decision } = recorded
    const message = decision.kind === 'ignore' ? before : decision.message
    logAnswer(deps.logger, submission, answer, message)
    return message
  } catch (error) {
    const fields = { messageId, attempt, ...errorFields(error) }
    deps.logger.error('Could not record the answer to an attempt; it stays in doubt', fields)
    throw error
  }
}

/** Twilio's own text is left out: it can contain the number. */
function describeAnswer(span: OpenSpan, answer: Answer): void {
  const { outcome } = answer
  const errorCode = 'errorCode' in answer ? answer.errorCode : null
  span.set({
    'sms_retry.answer': outcome,
    'sms_retry.sid': 'sid' in answer ? answer.sid : null,
    'sms_retry.error_code': errorCode,
  })
  if (outcome !== 'accepted') span.fail(`${errorCode ?? outcome}`)
}

async function submit(
  { twilio, metrics }: AttemptDeps,
  submission: Submission,
): ReturnType<TwilioClient['submit']> {
  const answered = await twilio.submit(submission)
  metrics.submitted(answered.answer, answered.processingTimeMs)
  return answered
}

/** The answer exists only in memory, and Twilio does not repeat a refusal, so recording it is retried. */
const RECORD_RETRY_DELAYS_MS = [200, 1_000, 3_000]

/** The submission with the validity that is left after `elapsedSeconds`; null if it is too late to submit it. */
function remainingOf(submission: Submission, elapsedSeconds: number): Submission | null {
  const { validitySeconds } = submission
  if (elapsedSeconds >= Math.min(CLAIM_VALID_SECONDS, validitySeconds ?? Number.POSITIVE_INFINITY))
    return null
  if (validitySeconds === null) return submission
  return { ...submission, validitySeconds: validitySeconds - Math.floor(elapsedSeconds) }
}

/**
 * The commit of the claim took too long, or the process was suspended. Another process may already look up the attempt.
 * Nothing was submitted, so the attempt is postponed.
 */
const CLAIMED_TOO_LATE: Answer = {
  outcome: 'not_processed',
  reason: 'too much time passed between the claim and the request',
  retryAfterSeconds: null,
}

function logNotSubmitted(logger: Logger, job: AttemptJob, outcome: RecordResult): void {
  const fields = { messageId: job.message, attempt: job.attempt }
  if (!outcome.known) return void logger.warn('The message of a due attempt does not exist', fields)
  const { decision } = outcome
  if (decision.kind === 'ignore') {
    return void logger.debug('A due attempt was not made', { ...fields, why: decision.why })
  }
  const { status, nextRetryAt, reason } = decision.message
  // An old reason is not logged: it may be a text that the app wrote.
  const isNew = reason !== outcome.before.reason
  logger.info('A due attempt was not made', { ...fields, status, ...(isNew ? { reason } : {}), nextRetryAt })
}

function logAnswer(
  logger: Logger,
  { messageId, attempt }: Submission,
  answer: Answer,
  message: Message,
): void {
  const { status, reason, nextRetryAt, processingTimeMs } = message
  logger[answer.outcome === 'unknown' ? 'warn' : 'info']('Attempt submitted', {
    messageId,
    attempt,
    outcome: answer.outcome,
    ...('sid' in answer ? { sid: answer.sid } : {}),
    ...('errorCode' in answer ? { errorCode: answer.errorCode } : {}),
    processingTimeMs,
    status,
    reason,
    nextRetryAt,
  })
}

/** Returns the milliseconds since the start. */
export type Stopwatch = () => number

/** Uses two clocks: the monotonic clock stops while the machine is suspended, and the wall clock can be set back. */
export function startStopwatch(): Stopwatch {
  const startedMs = performance.now()
  const startedAt = Date.now()
  return () => Math.max(performance.now() - startedMs, Date.now() - startedAt)
}

/** Limits how many attempts all workers together start per second. */
export interface RateLimit {
  /** The maximum number of attempts that may start at the same moment. */
  readonly maxTogether: number
  /** Resolves when `attempts` attempts may start; rejects when the signal is aborted. */
  wait(attempts: number, signal: AbortSignal): Promise<void>
}

/**
 * Runs attempts concurrently. A job ends when its attempt is claimed: from then on the row has the state, so a slow answer
 * of Twilio delays no other job.
 */
export class AttemptRunner {
  readonly #deps: AttemptDeps
  readonly #maxRequests: number
  readonly #rateLimit: RateLimit | null
  readonly #requests = new Set<Promise<unknown>>()
  readonly #claims = new Set<Promise<unknown>>()
  readonly #stopping = new AbortController()

  /** @param rateLimit null for no limit */
  constructor(deps: AttemptDeps, maxRequests: number, rateLimit: RateLimit | null) {
    this.#deps = deps
    this.#maxRequests = maxRequests
    this.#rateLimit = rateLimit
  }

  /**
   * Waits until the attempts may start and their requests are within the limit, then claims and submits them. A claimed
   * attempt is submitted without delay, so its outcome is unknown only while its request runs.
   *
   * @returns the jobs whose claim failed: they must run again
   * @throws if the runner is stopped: jobs that were not claimed must run again
   */
  async run(due: readonly AttemptJob[]): Promise<FailedJobs> {
    const failed = new Map<AttemptJob, Error>()
    const size = this.#rateLimit?.maxTogether ?? due.length
    for (let start = 0; start < due.length; start += size) {
      await this.#claim(due.slice(start, start + size), failed)
    }
    return failed
  }

  async #claim(jobs: readonly AttemptJob[], failed: Map<AttemptJob, Error>): Promise<void> {
    // A job that is no longer needed must not use a slot of the rate limit.
    const due = this.#rateLimit === null ? jobs : await findWaiting(this.#deps.database, jobs)
    if (due.length === 0) return
    await this.#deps.twilio.ready()
    while (this.#requests.size > 0 && this.#requests.size + due.length > this.#maxRequests) {
      await Promise.race(this.#requests)
    }
    await this.#rateLimit?.wait(due.length, this.#stopping.signal)
    if (this.#stopping.signal.aborted) throw new Error('The worker is stopping')
    const sinceClaim = startStopwatch()
    const claims = due.map((job) =>
      claimAttempt(this.#deps, job).then(
        (claim) => {
          if (claim !== null) this.#start(claim, sinceClaim)
        },
        (error: Error) => void failed.set(job, error),
      ),
    )
    await Promise.all(claims.map((claim) => trackUntilSettled(this.#claims, claim)))
  }

  /**
   * Claims and submits one attempt as a probe of the account.
   *
   * @param probe its number
   * @returns false if nothing was submitted: the message needs no attempt, or may not be sent now
   */
  async probe(job: AttemptJob, probe: number): Promise<boolean> {
    if (this.#stopping.signal.aborted) throw new Error('The worker is stopping')
    const sinceClaim = startStopwatch()
    const claim = claimAttempt(this.#deps, job, probe).then((claimed) => {
      if (claimed !== null) this.#start(claimed, sinceClaim)
      return claimed !== null
    })
    return trackUntilSettled(this.#claims, claim)
  }

  #start({ submission, traceparent }: Claim, sinceClaim: Stopwatch): void {
    const request = submitAttempt(this.#deps, submission, sinceClaim, traceparent).then(
      () => undefined,
      // submitAttempt has logged the error, and reconciling resolves the attempt in doubt.
      () => undefined,
    )
    void trackUntilSettled(this.#requests, request)
  }

  /** Stops claiming. Resolves when the answers to all running requests are recorded. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await Promise.allSettled(this.#claims)
    await Promise.all(this.#requests)
  }
}

function trackUntilSettled<T>(set: Set<Promise<unknown>>, promise: Promise<T>): Promise<T> {
  const kept: Promise<T> = promise.finally(() => set.delete(kept))
  set.add(kept)
  return kept
}
