// Use case: attempts are due. Claims them (rule: record before acting), hands each to Twilio with no
// transaction open, and records each answer.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Submission } from './delivery/decision.ts'
import type { Answer, Message } from './delivery/message.ts'
import { DatabaseError } from './errors.ts'
import { errorFields, type Logger } from './log.ts'
import type { AttemptJob } from './queue.ts'
import { type RecordDeps, type Recorded, recordEvents } from './record-events.ts'
import type { TwilioClient } from './twilio/client.ts'

export interface AttemptDeps extends RecordDeps {
  readonly twilio: TwilioClient
  readonly logger: Logger
}

/**
 * Claims the due attempts in one transaction.
 *
 * @returns what is to be submitted; an attempt that somebody else has claimed, or that is not wanted any
 *   more, is not among it
 * @throws DatabaseError if the database failed: then nothing is to be submitted
 */
async function claimAttempts(deps: AttemptDeps, due: readonly AttemptJob[]): Promise<Submission[]> {
  const recorded = await recordEvents(
    deps,
    due.map(({ message, attempt }) => ({ target: { id: message }, event: { kind: 'due', attempt } })),
  )
  return recorded.flatMap((outcome, i) => {
    if (outcome.known && outcome.decision.kind === 'submit') return [outcome.decision.submission]
    logNotSubmitted(deps.logger, due[i], outcome)
    return []
  })
}

/**
 * Makes the request of a claimed attempt and records its answer.
 *
 * @returns the message as it is then
 * @throws DatabaseError if the answer could not be recorded: the attempt then stays in doubt, and the log says so
 */
export async function submitAttempt(deps: AttemptDeps, submission: Submission): Promise<Message> {
  const { messageId, attempt } = submission
  try {
    const { answer, processingTimeMs } = await deps.twilio.submit(submission)
    const event = { kind: 'answer', attempt, answer, processingTimeMs } as const
    const [recorded] = await untilRecorded(() => recordEvents(deps, [{ target: { id: messageId }, event }]))
    if (recorded?.known !== true) {
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

const RECORD_AGAIN_AFTER_MS = [200, 1_000, 3_000]

/**
 * An answer exists only in this process's memory, and a refusal is never told again: a database that is away for a
 * moment must not cost it. Recording twice does no harm.
 */
async function untilRecorded<T>(record: () => Promise<T>): Promise<T> {
  for (const delayMs of RECORD_AGAIN_AFTER_MS) {
    try {
      return await record()
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error
      await sleep(delayMs)
    }
  }
  return record()
}

function logNotSubmitted(logger: Logger, job: AttemptJob | undefined, outcome: Recorded): void {
  const fields = { messageId: job?.message, attempt: job?.attempt }
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

/**
 * Runs attempts beside each other. The job of an attempt is done once the attempt is claimed: from then on the
 * row says what is under way, so that a slow answer holds up no other job.
 */
export class AttemptRunner {
  readonly #deps: AttemptDeps
  readonly #mostAtOnce: number
  readonly #requests = new Set<Promise<void>>()
  readonly #claims = new Set<Promise<void>>()
  #isStopping = false

  constructor(deps: AttemptDeps, mostAtOnce: number) {
    this.#deps = deps
    this.#mostAtOnce = mostAtOnce
  }

  /**
   * Claims the attempts, as soon as there is room for all of them, and starts their requests. A claimed
   * attempt does not wait, so that none is in doubt for longer than its request takes.
   *
   * @throws if the runner is being stopped: nothing was claimed, and the jobs are to ring again
   */
  async run(due: readonly AttemptJob[]): Promise<void> {
    while (this.#requests.size > 0 && this.#requests.size + due.length > this.#mostAtOnce) {
      await Promise.race(this.#requests)
    }
    if (this.#isStopping) throw new Error('The worker is being stopped')
    const claim = claimAttempts(this.#deps, due).then((submissions) => {
      for (const submission of submissions) this.#start(submission)
    })
    await keepUntilSettled(this.#claims, claim)
  }

  #start(submission: Submission): void {
    const request = submitAttempt(this.#deps, submission).then(
      () => undefined,
      // The log has it, and the row is in doubt: there is nobody left to tell.
      () => undefined,
    )
    void keepUntilSettled(this.#requests, request)
  }

  /** Claims nothing more; resolves once the answers to all requests under way are recorded. */
  async stop(): Promise<void> {
    this.#isStopping = true
    await Promise.allSettled(this.#claims)
    await Promise.all(this.#requests)
  }
}

function keepUntilSettled(set: Set<Promise<void>>, promise: Promise<void>): Promise<void> {
  const kept = promise.finally(() => set.delete(kept))
  set.add(kept)
  return kept
}
