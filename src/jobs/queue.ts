// The alarm clocks: one pg-boss job for each attempt that waits, and one for the next sweep over what is overdue. A job
// holds ids only, and the row is the truth: losing a job or ringing twice does no harm.
import { createHash } from 'node:crypto'
import pLimit from 'p-limit'
import type { Job, JobResult, JobWithMetadata, PgBoss } from 'pg-boss'
import { type Boss, createBoss } from './boss.ts'
import { rethrowFailed } from '../postgres/database-failure.ts'
import type { Database, Db } from '../postgres/pool.ts'
import type { JobRef } from '../delivery/decision.ts'
import { SchemaError } from '../shared/errors.ts'
import { errorFields, type Logger } from '../shared/log.ts'
import { ATTEMPT_QUEUE, QUEUES, RECONCILE_QUEUE } from './queue-migration.ts'

export interface AttemptJob {
  readonly message: number
  readonly attempt: number
}

export type FailedJobs = ReadonlyMap<AttemptJob, Error>

/** One job of one message. The message's key is part of it, because ids can repeat. */
export interface MessageJob extends JobRef {
  readonly messageId: number
  readonly key: string | null
}

export interface ScheduledJob extends MessageJob {
  /** Null to run it now. */
  readonly at: Date | null
}

export interface Queue {
  /** Adds the jobs in the caller's transaction. One that exists already stays as it is. */
  schedule(tx: Db, jobs: readonly ScheduledJob[]): Promise<void>
  /** Removes the jobs in the caller's transaction. */
  unschedule(tx: Db, jobs: readonly MessageJob[]): Promise<void>
  /** Of these jobs, the ones that will ring soon, or have just rung: by jobId. */
  findScheduled(jobs: readonly MessageJob[], now: Date): Promise<ReadonlySet<string>>
  /**
   * Calls `handle` with due jobs, up to `batchSize` at once.
   *
   * @param handle returns the jobs that failed, which run again; if it throws, all of them run again
   * @returns has it look for due jobs at once, instead of at its next poll
   */
  work(
    options: { batchSize: number },
    handle: (jobs: readonly AttemptJob[]) => Promise<FailedJobs>,
  ): Promise<() => void>
  /**
   * Calls `sweep` every so many seconds, in one of the processes that share this database. It is told of no failure:
   * `sweep` must not reject.
   */
  sweep(options: { everySeconds: number }, sweep: () => Promise<void>): Promise<void>
  /**
   * Whether its tables are still there: somebody may have dropped them since it was started.
   *
   * @throws DatabaseError if the database is lost, SchemaError if they are not
   */
  check(): Promise<void>
  /** Stops working; waits for what is under way. */
  stop(timeoutMs: number): Promise<void>
}

/**
 * @param role `schedule` for processes that only add jobs; `work` also supervises (expires and purges)
 * @throws SchemaError if the database has no queue or an older one
 */
export async function startQueue(
  database: Database,
  role: 'schedule' | 'work',
  logger: Logger,
): Promise<Queue> {
  const { boss, isFailure } = await createBoss(database, logger, {
    migrate: false,
    supervise: role === 'work',
    superviseIntervalSeconds: SUPERVISE_SECONDS,
    monitorIntervalSeconds: SUPERVISE_SECONDS,
  })
  try {
    await boss.start()
    await requireQueues(boss)
  } catch (error) {
    // What a failed start has set up so far, its timers above all, goes as well.
    await boss.stop({ graceful: false, close: false })
    throwNotReady(error, isFailure)
  }
  return queueOf({ boss, isFailure }, logger)
}

async function requireQueues(boss: PgBoss): Promise<void> {
  if (!(await boss.isInstalled())) throw new Error('Its schema does not exist')
  const queues = new Set((await boss.getQueues([...QUEUES.keys()])).map(({ name }) => name))
  const missing = [...QUEUES.keys()].filter((name) => !queues.has(name))
  if (missing.length > 0) throw new Error(`There is no queue ${missing.join(', ')}`)
}

function throwNotReady(error: unknown, isFailure: Boss['isFailure']): never {
  if (isFailure(error)) rethrowFailed(error)
  const { message } = error as Error
  throw new SchemaError(`The queue is not ready: ${message}. Run: sms-retry migrate`, { cause: error })
}

/** Together with `expireInSeconds`: the jobs of a worker that died ring again within a minute. */
const SUPERVISE_SECONDS = 10

/** A look at many jobs must leave connections to others. */
const MAX_LOOKS_AT_ONCE = 2

function queueOf({ boss, isFailure }: Boss, logger: Logger): Queue {
  const timers: NodeJS.Timeout[] = []
  const inTurn = pLimit(MAX_LOOKS_AT_ONCE)
  return {
    async schedule(tx, jobs) {
      if (jobs.length === 0) return
      const inserts = jobs.map((job) => ({
        id: jobId(job),
        data: { message: job.messageId, attempt: job.attempt } satisfies AttemptJob,
        ...(job.at === null ? {} : { startAfter: job.at }),
      }))
      await boss.insert(ATTEMPT_QUEUE, inserts, { db: tx })
    },
    async unschedule(tx, jobs) {
      if (jobs.length === 0) return
      const ids = jobs.map(jobId)
      await boss.deleteJob(ATTEMPT_QUEUE, ids, { db: tx })
    },
    async findScheduled(jobs, now) {
      const ids = jobs.map(jobId)
      const found = await Promise.all(
        ids.map((id) => inTurn(() => boss.findJobs(ATTEMPT_QUEUE, { id }).catch(rethrowFailed))),
      )
      return new Set(
        found
          .flat()
          .filter((job) => isSet(job, now))
          .map(({ id }) => id),
      )
    },
    async work({ batchSize }, handle) {
      const options = {
        batchSize,
        pollingIntervalSeconds: 0.5,
        burstWhenBatchFull: true,
        perJobResults: true,
      } as const
      const worker = await boss.work(ATTEMPT_QUEUE, options, async (jobs: Job<AttemptJob>[]) => {
        const failed = await handle(jobs.map(({ data }) => data)).catch((error: Error) => {
          throw withoutCause(error)
        })
        return jobs.map(({ id, data }) => resultOf(id, failed.get(data)))
      })
      return () => boss.notifyWorker(worker)
    },
    async sweep({ everySeconds }, sweep) {
      // Of this queue one job can wait at most; another one is not added.
      const scheduleNext = async (seconds = everySeconds): Promise<void> => {
        await boss.send(RECONCILE_QUEUE, null, { startAfter: seconds })
      }
      await boss.work(RECONCILE_QUEUE, { pollingIntervalSeconds: SWEEP_POLL_SECONDS }, () =>
        sweep().finally(() => scheduleNext()),
      )
      // The job schedules the next one. Should it be lost, this mends the chain.
      const mend = (): void => {
        const mended = scheduleNext(everySeconds / 2)
        mended.catch((error: Error) => logger.debug('No sweep scheduled', errorFields(error)))
      }
      mend()
      timers.push(setInterval(mend, (everySeconds / 2) * 1000))
    },
    check: () => requireQueues(boss).catch((error: unknown) => throwNotReady(error, isFailure)),
    stop(timeoutMs) {
      for (const timer of timers) clearInterval(timer)
      return boss.stop({ graceful: true, timeout: timeoutMs, close: false })
    },
  }
}

function resultOf(id: string, failure: Error | undefined): JobResult {
  if (failure === undefined) return { id, status: 'completed' }
  return { id, status: 'failed', output: withoutCause(failure) }
}

/** pg-boss keeps an error in its job, with its cause; PostgreSQL's errors quote the row. */
function withoutCause({ message }: Error): Error {
  return new Error(message)
}

const SWEEP_POLL_SECONDS = 1

/** A job that was taken longer ago, and whose attempt still waits: its worker has died. */
const HANDLED_WITHIN_MS = 20_000

function isSet(
  { state, startAfter, startedOn }: Pick<JobWithMetadata, 'state' | 'startAfter' | 'startedOn'>,
  now: Date,
): boolean {
  if (state === 'active') return startedOn !== null && now.getTime() - startedOn.getTime() < HANDLED_WITHIN_MS
  return (state === 'created' || state === 'retry') && startAfter <= now
}

/**
 * A version 8 UUID (RFC 9562, 5.8): a hash of what the alarm is for. The same alarm always has the same job, and no other
 * message has it, also if its id comes again.
 */
export function jobId({ messageId, key, attempt, postponements }: MessageJob): string {
  const name = [key ?? '', messageId, attempt, postponements].join(' ')
  const hex = createHash('sha256').update(name).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
