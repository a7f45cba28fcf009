// Use case: attempts are due. Claims them (rule: record before acting), hands each to Twilio with no
// transaction open, and records each answer.
import { findWaiting } from '../db/messages.ts'
import type { Submission } from '../delivery/decision.ts'
import type { Answer, Message } from '../delivery/message.ts'
import { CLAIM_VALID_SECONDS } from '../delivery/reconcile-time.ts'
import { DatabaseError } from '../shared/errors.ts'
import type { RecordingDeps } from '../recording/event-recorder.ts'
import { errorFields, type Logger } from '../shared/log.ts'
import type { AttemptJob, FailedJobs } from '../jobs/queue.ts'
import { type RecordResult, retryOnDatabaseError } from '../recording/record-events.ts'
import type { TwilioClient } from '../twilio/client.ts'

export interface AttemptDeps extends RecordingDeps {
  readonly twilio: TwilioClient
}

/**
 * Claims a due attempt.
 *
 * @returns what to submit; null if somebody else has claimed it, if it is not wanted, or if the database refuses to change
 *   the row
 * @throws DatabaseError if the database failed: then it must not be submitted
 */
async function claimAttempt(deps: AttemptDeps, { message, attempt }: AttemptJob): Promise<Submission | null> {
  const event = { kind: 'due', attempt, identity: deps.twilio.identity } as const
  const outcome = await deps.recorder.record({ target: { id: message }, event }).catch((error: unknown) => {
    if (error instanceof DatabaseError && error.isRefusal) {
      deps.refused.add(message, error)
      return null
    }
    const fields = { messageId: message, attempt, ...errorFields(error) }
    deps.logger.warn('A due attempt could not be claimed; its job runs again', fields)
    throw error
  })
  if (outcome === null) return null
  if (outcome.known && outcome.decision.kind === 'submit') {
    const { submission } = outcome.decision
    deps.metrics.claimed(outcome.before, submission.claimedAt)
    return submission
  }
  logNotSubmitted(deps.logger, { message, attempt }, outcome)
  return null
}

/**
 * Makes the request of a claimed attempt and records its answer.
 *
 * @param sinceClaim started before the claim was written
 * @returns the message as it is then
 * @throws DatabaseError if the answer could not be recorded: the attempt then stays in doubt, and the log says so
 */
export async function submitAttempt(
  deps: AttemptDeps,
  submission: Submission,
  sinceClaim: Stopwatch,
): Promise<Message> {
  const { messageId, key, to, attempt, claimedAt } = submission
  try {
    await deps.twilio.ready()
    const left = leftOf(submission, sinceClaim() / 1000)
    const { answer, processingTimeMs } =
      left === null ? { answer: CLAIMED_TOO_LATE, processingTimeMs: 0 } : await submit(deps, left)
    const event = { kind: 'answer', attempt, claimedAt, answer, processingTimeMs } as const
    const messageEvent = { target: { id: messageId, proof: { key, to } }, event }
    const recorded = await retryOnDatabaseError(
      () => deps.recorder.record(messageEvent),
      RECORD_AGAIN_AFTER_MS,
    )
    if (!recorded.known) {
      throw new DatabaseError(`Message ${messageId} was deleted while it was being sent`)
    }
    const { before, decision } = recorded
    const message = decision.kind === 'ignore' ? before : decision.message
    logAnswer(deps.logger, submission, answer, message)
    return message
  } catch (error) {
    const fields = { messageId, attempt, ...errorFields(error) }
    deps.logger.error('The answer to an attempt could not be recorded; it stays in doubt', fields)
    throw error
  }
}

async function submit(
  { twilio, metrics }: AttemptDeps,
  submission: Submission,
): ReturnType<TwilioClient['submit']> {
  const answered = await twilio.submit(submission)
  metrics.submitted(answered.answer, answered.processingTimeMs)
  return answered
}

/** An answer exists only in this process's memory, and a refusal is never told again. */
const RECORD_AGAIN_AFTER_MS = [200, 1_000, 3_000]

/** What is to be submitted so long after its claim; null if nothing is, any more. */
function leftOf(submission: Submission, elapsedSeconds: number): Submission | null {
  const { validitySeconds } = submission
  if (elapsedSeconds >= Math.min(CLAIM_VALID_SECONDS, validitySeconds ?? Number.POSITIVE_INFINITY))
    return null
  if (validitySeconds === null) return submission
  return { ...submission, validitySeconds: validitySeconds - Math.floor(elapsedSeconds) }
}

/**
 * A claim that took too long to be committed, or a process that was suspended: the attempt may be taken for lost
 * already, and looked for. Nothing was submitted, so it can simply be put off.
 */
const CLAIMED_TOO_LATE: Answer = {
  outcome: 'not_processed',
  reason: 'too much time passed between claim and request',
  retryAfterSeconds: null,
}

function logNotSubmitted(logger: Logger, job: AttemptJob, outcome: RecordResult): void {
  const fields = { messageId: job.message, attempt: job.attempt }
  if (!outcome.known) return void logger.warn('A due attempt is not in the table', fields)
  const { decision } = outcome
  if (decision.kind === 'ignore') {
    return void logger.debug('A due attempt was not made', { ...fields, why: decision.why })
  }
  // Not the reason: in a row whose time was moved, it may be a text of the app's own.
  const { status, nextRetryAt } = decision.message
  logger.info('A due attempt was not made', { ...fields, status, nextRetryAt })
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

/** Milliseconds since it was started. */
export type Stopwatch = () => number

/** By both clocks: the one stands still while a machine is suspended, the other one can be set back. */
export function startStopwatch(): Stopwatch {
  const startedMs = performance.now()
  const startedAt = Date.now()
  return () => Math.max(performance.now() - startedMs, Date.now() - startedAt)
}

/** Limits how many attempts start in a second, over all workers. */
export interface RateLimit {
  /** So many attempts may start together. */
  readonly atOnce: number
  /** Resolves when so many attempts may start; rejects when the signal is aborted. */
  wait(attempts: number, signal: AbortSignal): Promise<void>
}

/**
 * Runs attempts beside each other. The job of an attempt is done once the attempt is claimed: from then on the
 * row says what is under way, so that a slow answer holds up no other job.
 */
export class AttemptRunner {
  readonly #deps: AttemptDeps
  readonly #maxRequests: number
  readonly #rateLimit: RateLimit | null
  readonly #requests = new Set<Promise<void>>()
  readonly #claims = new Set<Promise<void>>()
  readonly #stopping = new AbortController()

  /** @param pace null for as fast as can be */
  constructor(deps: AttemptDeps, mostAtOnce: number, pace: RateLimit | null) {
    this.#deps = deps
    this.#maxRequests = mostAtOnce
    this.#rateLimit = pace
  }

  /**
   * Claims the attempts, as soon as they may start and there is room for their requests, and starts these. A claimed
   * attempt does not wait, so that none is in doubt for longer than its request takes.
   *
   * @returns the jobs whose claim failed: they must run again
   * @throws if the runner stops: what was not claimed by then must run again
   */
  async run(due: readonly AttemptJob[]): Promise<FailedJobs> {
    const failed = new Map<AttemptJob, Error>()
    const atOnce = this.#rateLimit?.atOnce ?? due.length
    for (let start = 0; start < due.length; start += atOnce) {
      await this.#claim(due.slice(start, start + atOnce), failed)
    }
    return failed
  }

  async #claim(jobs: readonly AttemptJob[], failed: Map<AttemptJob, Error>): Promise<void> {
    // A job that has become needless is not to use up a moment of the rate.
    const due = this.#rateLimit === null ? jobs : await findWaiting(this.#deps.database, jobs)
    if (due.length === 0) return
    while (this.#requests.size > 0 && this.#requests.size + due.length > this.#maxRequests) {
      await Promise.race(this.#requests)
    }
    await this.#rateLimit?.wait(due.length, this.#stopping.signal)
    if (this.#stopping.signal.aborted) throw new Error('The worker is being stopped')
    const sinceClaim = startStopwatch()
    const claims = due.map((job) =>
      claimAttempt(this.#deps, job).then(
        (submission) => {
          if (submission !== null) this.#start(submission, sinceClaim)
        },
        (error: Error) => void failed.set(job, error),
      ),
    )
    await Promise.all(claims.map((claim) => trackUntilSettled(this.#claims, claim)))
  }

  #start(submission: Submission, sinceClaim: Stopwatch): void {
    const request = submitAttempt(this.#deps, submission, sinceClaim).then(
      () => undefined,
      // The log has it, and the row is in doubt: there is nobody left to tell.
      () => undefined,
    )
    void trackUntilSettled(this.#requests, request)
  }

  /** Claims nothing more; resolves once the answers to all requests under way are recorded. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await Promise.allSettled(this.#claims)
    await Promise.all(this.#requests)
  }
}

function trackUntilSettled(set: Set<Promise<void>>, promise: Promise<void>): Promise<void> {
  const kept = promise.finally(() => set.delete(kept))
  set.add(kept)
  return kept
}
