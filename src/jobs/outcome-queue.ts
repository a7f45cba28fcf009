// The outcomes that the app is told: one job for each decided outcome, added in the transaction that decides it. A job
// holds ids, codes and the masked reason. The rest is read from the row when the outcome is delivered.
import type { JobResult, JobWithMetadata, PgBoss } from 'pg-boss'
import { type DecidedOutcome, type FinalState, isOurWord } from '../delivery/outcome.ts'
import { rethrowFailed } from '../postgres/database-failure.ts'
import type { Database } from '../postgres/pool.ts'
import { maskReason } from '../shared/log.ts'
import { uuidOf } from './job-id.ts'
import type {
  DeliveryResult,
  DueOutcome,
  OpenOutcome,
  OutcomeJob,
  OutcomeQueue,
  Receiver,
} from './outcome-job.ts'
import { FAILED_OUTCOME_QUEUE, OUTCOME_QUEUE } from './queue-migration.ts'

const POLL_SECONDS = 1
/** A correction is delivered at least this long after the outcome that it waits for. */
const WAIT_SECONDS = 15
const REDELIVER_AT_A_TIME = 1_000

/** @param isRecorded whether this process records outcomes */
export function outcomeQueueOf(boss: PgBoss, database: Database, isRecorded: boolean): OutcomeQueue {
  return {
    isRecorded,
    async add(tx, outcomes) {
      if (!isRecorded || outcomes.length === 0) return
      // pg-boss refuses the same id twice in one call.
      const jobs = new Map(outcomes.map(toJob).map((data) => [data.id, data]))
      await boss.insert(OUTCOME_QUEUE, [...jobs.values()].map(toInsert), { db: tx })
    },
    async work({ concurrency, batchSize }, deliver) {
      const options = {
        batchSize,
        localConcurrency: Math.max(Math.floor(concurrency / batchSize), 1),
        pollingIntervalSeconds: POLL_SECONDS,
        burstWhenBatchFull: true,
        perJobResults: true,
        includeMetadata: true,
      } as const
      await boss.work(OUTCOME_QUEUE, options, (jobs: QueuedOutcome[]) =>
        handle({ boss, database }, jobs, deliver),
      )
    },
    async listOpen(which, limit) {
      const queue = which === 'failed' ? FAILED_OUTCOME_QUEUE : OUTCOME_QUEUE
      const jobs = await boss.findJobs<OutcomeJob>(queue, { queued: true, limit }).catch(rethrowFailed)
      return jobs.map(which === 'failed' ? toFailed : toWaiting)
    },
    async redeliverFailed() {
      // An outcome that fails again comes back hours later, so the loop ends.
      let count = 0
      for (;;) {
        const moved = await boss
          .redrive(FAILED_OUTCOME_QUEUE, { limit: REDELIVER_AT_A_TIME })
          .catch(rethrowFailed)
        count += moved
        if (moved < REDELIVER_AT_A_TIME) return count
      }
    },
  }
}

type QueuedOutcome = JobWithMetadata<OutcomeJob>

interface HandleDeps {
  readonly boss: PgBoss
  readonly database: Database
}

async function handle(
  deps: HandleDeps,
  jobs: readonly QueuedOutcome[],
  deliver: (due: readonly DueOutcome[]) => Promise<DeliveryResult[]>,
): Promise<JobResult[]> {
  try {
    const earlier = await Promise.all(jobs.map(({ data }) => findEarlier(deps.boss, data)))
    const due = jobs.filter((_job, i) => earlier[i] === null)
    const results = await deliver(
      due.map(({ data, output }) => ({ job: data, received: receivedIn(output) })),
    )
    const early = jobs.flatMap((job, i) => {
      const first = earlier[i] ?? null
      return first === null ? [] : [{ job, first }]
    })
    return [...due.map((job, i) => resultOf(job, results[i])), ...(await waitLonger(deps, early))]
  } catch (error) {
    return jobs.map((job) => failureOf(job, error as Error))
  }
}

function resultOf(job: QueuedOutcome, result: DeliveryResult | undefined): JobResult {
  if (result === undefined) return failureOf(job, new Error('The delivery has no result'))
  const { received, failure } = result
  if (failure === null) return { id: job.id, status: 'completed' }
  return { id: job.id, status: 'failed', output: { message: failure, received } }
}

/** Keeps the receivers that have the outcome already. pg-boss would replace them by the error. */
function failureOf({ id, output }: QueuedOutcome, { message }: Error): JobResult {
  return { id, status: 'failed', output: { message, received: receivedIn(output) } }
}

/** An earlier outcome of the same message that is still to be delivered, before this correction. */
async function findEarlier(boss: PgBoss, data: OutcomeJob): Promise<QueuedOutcome | null> {
  const { type, corrects, at } = data
  if (type !== 'message.corrected') return null
  const [keyed, corrected] = await Promise.all([
    boss.findJobs<OutcomeJob>(OUTCOME_QUEUE, { key: messageKey(data), queued: true }),
    corrects === null ? [] : boss.findJobs<OutcomeJob>(OUTCOME_QUEUE, { id: corrects }),
  ])
  return corrected.find(isOpen) ?? keyed.find((job) => job.data.at < at) ?? null
}

function isOpen({ state }: QueuedOutcome): boolean {
  return state === 'created' || state === 'retry' || state === 'active'
}

/**
 * Replaces the jobs by ones that run later, with the same ids, which later corrections look for. A failure would use up
 * their repetitions.
 */
async function waitLonger(
  { boss, database }: HandleDeps,
  early: readonly { readonly job: QueuedOutcome; readonly first: QueuedOutcome }[],
): Promise<JobResult[]> {
  if (early.length === 0) return []
  const ids = early.map(({ job }) => job.id)
  const later = early.map(({ job, first: { startAfter } }) => {
    const time = startAfter.getTime() + WAIT_SECONDS * 1000
    return {
      ...toInsert(job.data),
      id: job.id,
      startAfter: startAfter > new Date() ? new Date(time) : WAIT_SECONDS,
    }
  })
  try {
    await database.transaction(async (tx) => {
      await boss.deleteJob(OUTCOME_QUEUE, ids, { db: tx })
      await boss.insert(OUTCOME_QUEUE, later, { db: tx.atCommit })
    })
  } catch (error) {
    return early.map(({ job }) => failureOf(job, error as Error))
  }
  // pg-boss ignores this: the new jobs are not active.
  return ids.map((id) => ({ id, status: 'completed' }))
}

/** Most outcomes need no key, and save its entry in an index: what corrects them knows their ids. */
function toInsert(data: OutcomeJob): { id: string; data: OutcomeJob; singletonKey?: string } {
  const isKeyed = data.type === 'message.corrected' || isOurWord(data.status)
  return { id: data.id, data, ...(isKeyed ? { singletonKey: messageKey(data) } : {}) }
}

/** The outcomes of a message share it. In a standard queue, any number of jobs may. */
function messageKey({ message, key }: OutcomeJob): string {
  return `${message} ${key ?? ''}`
}

function toJob({ messageId, at, corrects, to, reason, ...outcome }: DecidedOutcome): OutcomeJob {
  return {
    ...outcome,
    reason: reason === null ? null : maskReason(reason, to),
    id: outcomeId({ messageId, ...outcome }, at),
    message: messageId,
    at: at.toISOString(),
    corrects: corrects === null || isOurWord(corrects.status) ? null : outcomeId(corrects, null),
  }
}

/**
 * The same decision has the same id in every process.
 *
 * @param at counts only for `canceled` and `expired`: if a person retries such a message, it can come to the same state
 *   again without another attempt. A retry that fails is another attempt, which has another number.
 */
export function outcomeId(state: FinalState, at: Date | null): string {
  const { messageId, key, status, errorCode, retryCount } = state
  const time = at !== null && isOurWord(status) ? [at.toISOString()] : []
  return uuidOf('outcome', key ?? '', messageId, status, errorCode ?? '', retryCount, ...time)
}

function toWaiting({ data, retryCount, output, startAfter }: QueuedOutcome): OpenOutcome {
  return { job: data, failures: retryCount, failure: failureIn(output), nextAt: startAfter }
}

function toFailed({ data, sourceRetryCount, sourceOutput }: QueuedOutcome): OpenOutcome {
  return { job: data, failures: (sourceRetryCount ?? 0) + 1, failure: failureIn(sourceOutput), nextAt: null }
}

function receivedIn(output: unknown): readonly Receiver[] {
  const received: unknown = fieldOf(output, 'received')
  return Array.isArray(received) ? (received as Receiver[]) : []
}

function failureIn(output: unknown): string | null {
  const message: unknown = fieldOf(output, 'message')
  if (typeof message === 'string') return message
  return fieldOf(output, 'value') === undefined ? null : 'The worker ended during the delivery'
}

/** pg-boss writes an output of its own, a `value`, if a worker stops or dies during the delivery. */
function fieldOf(output: unknown, name: string): unknown {
  return typeof output === 'object' && output !== null ? (output as Record<string, unknown>)[name] : undefined
}
