// The outcomes that the app is told: one job for each decided outcome, added in the transaction that decides it. A job
// holds ids, codes and the masked reason. The rest is read from the row when the outcome is delivered.
import type { JobResult, JobWithMetadata, PgBoss } from 'pg-boss'
import type { DecidedOutcome, FinalState } from '../delivery/outcome.ts'
import { rethrowFailed } from '../postgres/database-failure.ts'
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
/** A correction waits for the outcome that it corrects in steps of this length. */
const WAIT_SECONDS = 15
const REDELIVER_AT_A_TIME = 1_000

/** @param isRecorded whether this process records outcomes */
export function outcomeQueueOf(boss: PgBoss, isRecorded: boolean): OutcomeQueue {
  return {
    async add(tx, outcomes) {
      if (!isRecorded || outcomes.length === 0) return
      const inserts = outcomes.map((outcome) => {
        const data = toJob(outcome)
        return { id: data.id, data }
      })
      await boss.insert(OUTCOME_QUEUE, inserts, { db: tx })
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
      await boss.work(OUTCOME_QUEUE, options, (jobs: JobWithMetadata<OutcomeJob>[]) =>
        handle(boss, jobs, deliver),
      )
    },
    async listOpen(which, limit) {
      const queue = which === 'failed' ? FAILED_OUTCOME_QUEUE : OUTCOME_QUEUE
      const jobs = await boss.findJobs<OutcomeJob>(queue, { queued: true, limit }).catch(rethrowFailed)
      return jobs.map(which === 'failed' ? toFailed : toWaiting)
    },
    async redeliverFailed() {
      // Outcomes that fail again meanwhile are left out, so the loop ends.
      const createdBefore = new Date()
      let count = 0
      for (;;) {
        const moved = await boss
          .redrive(FAILED_OUTCOME_QUEUE, { createdBefore, limit: REDELIVER_AT_A_TIME })
          .catch(rethrowFailed)
        count += moved
        if (moved < REDELIVER_AT_A_TIME) return count
      }
    },
  }
}

async function handle(
  boss: PgBoss,
  jobs: readonly JobWithMetadata<OutcomeJob>[],
  deliver: (due: readonly DueOutcome[]) => Promise<DeliveryResult[]>,
): Promise<JobResult[]> {
  const isEarly = await Promise.all(jobs.map(({ data }) => mustWait(boss, data)))
  const early = jobs.filter((_job, i) => isEarly[i])
  const due = jobs.filter((_job, i) => !isEarly[i])
  if (early.length > 0) await waitLonger(boss, early)
  const results = await deliver(due.map(({ data, output }) => ({ job: data, received: receivedIn(output) })))
  return [
    ...early.map(({ id }): JobResult => ({ id, status: 'completed' })),
    ...due.map(({ id }, i): JobResult => {
      const { received, failure } = results[i] ?? { received: [], failure: 'The delivery has no result' }
      if (failure === null) return { id, status: 'completed' }
      return { id, status: 'failed', output: { message: failure, received } }
    }),
  ]
}

/** Whether the outcome that this one corrects is still to be delivered. */
async function mustWait(boss: PgBoss, { corrects }: OutcomeJob): Promise<boolean> {
  if (corrects === null) return false
  const [first] = await boss.findJobs(OUTCOME_QUEUE, { id: corrects })
  return first !== undefined && ['created', 'retry', 'active'].includes(first.state)
}

/** Adds jobs that run later, instead of these. A failure of these would use up their repetitions. */
async function waitLonger(boss: PgBoss, jobs: readonly JobWithMetadata<OutcomeJob>[]): Promise<void> {
  const later = jobs.map(({ data }) => {
    const waits = (data.waits ?? 0) + 1
    return { id: uuidOf(data.id, waits), data: { ...data, waits }, startAfter: WAIT_SECONDS }
  })
  await boss.insert(OUTCOME_QUEUE, later)
}

function toJob({ messageId, at, corrects, to, reason, ...outcome }: DecidedOutcome): OutcomeJob {
  return {
    ...outcome,
    reason: reason === null ? null : maskReason(reason, to),
    id: outcomeId({ messageId, ...outcome }),
    message: messageId,
    at: at.toISOString(),
    corrects: corrects === null ? null : outcomeId(corrects),
  }
}

/** The same decision has the same id in every process, also if its transaction is repeated. */
export function outcomeId({ messageId, key, status, errorCode, retryCount }: FinalState): string {
  return uuidOf('outcome', key ?? '', messageId, status, errorCode ?? '', retryCount)
}

function toWaiting({ data, retryCount, output, startAfter }: JobWithMetadata<OutcomeJob>): OpenOutcome {
  return { job: data, failures: retryCount, failure: failureIn(output), nextAt: startAfter }
}

function toFailed({ data, sourceRetryCount, sourceOutput }: JobWithMetadata<OutcomeJob>): OpenOutcome {
  return { job: data, failures: (sourceRetryCount ?? 0) + 1, failure: failureIn(sourceOutput), nextAt: null }
}

function receivedIn(output: unknown): readonly Receiver[] {
  const received: unknown = fieldOf(output, 'received')
  return Array.isArray(received) ? (received as Receiver[]) : []
}

function failureIn(output: unknown): string | null {
  const message: unknown = fieldOf(output, 'message')
  return typeof message === 'string' ? message : null
}

/** pg-boss writes an output of its own if a worker dies or the time runs out. */
function fieldOf(output: unknown, name: string): unknown {
  return typeof output === 'object' && output !== null ? (output as Record<string, unknown>)[name] : undefined
}
