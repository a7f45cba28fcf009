// The job queue on pg-boss: one job for each waiting attempt, and one for the next sweep over overdue messages. A job holds
// ids only; the row decides what happens. So a job that is lost, or runs twice, does no harm.
import pLimit from 'p-limit'
import type { Job, JobResult, JobWithMetadata, PgBoss } from 'pg-boss'
import { type Boss, createBoss } from './boss.ts'
import { rethrowFailed } from '../postgres/database-failure.ts'
import type { Database, Db } from '../postgres/pool.ts'
import { SchemaError } from '../shared/errors.ts'
import { errorFields, type Logger } from '../shared/log.ts'
import { jobId, type MessageJob } from './job-id.ts'
import type { OutcomeQueue } from './outcome-job.ts'
import { outcomeQueueOf } from './outcome-queue.ts'
import { ATTEMPT_QUEUE, QUEUES, RECONCILE_QUEUE } from './queue-migration.ts'

/** The data of a job: the message's id and the number of the attempt. */
export interface AttemptJob {
  readonly message: number
  readonly attempt: number
}

export type FailedJobs = ReadonlyMap<AttemptJob, Error>

export interface ScheduledJob extends MessageJob {
  /** Null to run it now. */
  readonly at: Date | null
}

export type HandleJobs = (jobs: readonly AttemptJob[]) => Promise<FailedJobs>

/** The polling for due jobs, paused at first. */
export interface Polling {
  /** Starts a poll now. */
  wake(): void
  /** Stops polling. Resolves when running handlers have ended. */
  pause(): Promise<void>
  resume(): Promise<void>
  /**
   * Takes one due job while the polling is paused.
   *
   * @returns false if no job is due
   */
  handleOne(handle: HandleJobs): Promise<boolean>
}

export interface Queue {
  readonly outcomes: OutcomeQueue
  /** Adds the jobs in the caller's transaction. Jobs that exist already are not changed. */
  schedule(tx: Db, jobs: readonly ScheduledJob[]): Promise<void>
  /** Removes the jobs in the caller's transaction. */
  unschedule(tx: Db, jobs: readonly MessageJob[]): Promise<void>
  /** The ids of the given jobs that are due or have just started. */
  findScheduled(jobs: readonly MessageJob[], now: Date): Promise<ReadonlySet<string>>
  /**
   * Once it is resumed, the polling calls `handle` with up to `batchSize` due jobs at a time.
   *
   * @param handle returns the failed jobs, which run again. If it throws, all jobs run again
   */
  work(options: { batchSize: number }, handle: HandleJobs): Polling
  /** Calls `sweep` every `everySeconds`, in one of the processes that share this database. `sweep` must not reject. */
  sweep(options: { everySeconds: number }, sweep: () => Promise<void>): Promise<void>
  /**
   * Checks that the queue's tables exist, because they may be dropped while the process runs.
   *
   * @throws DatabaseError if the database fails, SchemaError if a table is missing
   */
  check(): Promise<void>
  /** Stops polling, and waits for running handlers. */
  stop(timeoutMs: number): Promise<void>
}

/**
 * @param role `schedule` for processes that only add jobs; `work` also expires and deletes old jobs
 * @param options.recordsOutcomes whether the app is told what messages came to
 * @throws SchemaError if the database has no queue, or one of an older version
 */
export async function startQueue(
  database: Database,
  role: 'schedule' | 'work',
  logger: Logger,
  { recordsOutcomes = false } = {},
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
    // After a failed start, only stop() removes the timers.
    await boss.stop({ graceful: false, close: false })
    throwNotReady(error, isFailure)
  }
  return queueOf({ boss, isFailure }, outcomeQueueOf(boss, database, recordsOutcomes), logger)
}

async function requireQueues(boss: PgBoss): Promise<void> {
  if (!(await boss.isInstalled())) throw new Error('its schema does not exist')
  const queues = new Set((await boss.getQueues([...QUEUES.keys()])).map(({ name }) => name))
  const missing = [...QUEUES.keys()].filter((name) => !queues.has(name))
  if (missing.length > 0) throw new Error(`it lacks the queue ${missing.join(', ')}`)
}

function throwNotReady(error: unknown, isFailure: Boss['isFailure']): never {
  if (isFailure(error)) rethrowFailed(error)
  const { message } = error as Error
  throw new SchemaError(`The job queue is not ready: ${message}. Run: sms-retry migrate`, { cause: error })
}

/** With this and `expireInSeconds`, the jobs of a dead worker run again within a minute. */
const SUPERVISE_SECONDS = 10

/** Keeps database connections free while many jobs are looked up. */
const MAX_CONCURRENT_LOOKUPS = 2

function queueOf({ boss, isFailure }: Boss, outcomes: OutcomeQueue, logger: Logger): Queue {
  const timers: NodeJS.Timeout[] = []
  const limit = pLimit(MAX_CONCURRENT_LOOKUPS)
  return {
    outcomes,
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
      if (jobs.length > 0) await boss.deleteJob(ATTEMPT_QUEUE, jobs.map(jobId), { db: tx })
    },
    async findScheduled(jobs, now) {
      const found = await Promise.all(
        jobs.map((job) => limit(() => boss.findJobs(ATTEMPT_QUEUE, { id: jobId(job) }).catch(rethrowFailed))),
      )
      const scheduled = found.flat().filter((job) => isScheduled(job, now))
      return new Set(scheduled.map(({ id }) => id))
    },
    work: ({ batchSize }, handle) => work(boss, batchSize, handle),
    async sweep({ everySeconds }, sweep) {
      timers.push(await startSweep(boss, everySeconds, sweep, logger))
    },
    check: () => requireQueues(boss).catch((error: unknown) => throwNotReady(error, isFailure)),
    stop(timeoutMs) {
      for (const timer of timers) clearInterval(timer)
      return boss.stop({ graceful: true, timeout: timeoutMs, close: false })
    },
  }
}

function work(boss: PgBoss, batchSize: number, handle: HandleJobs): Polling {
  const options = {
    batchSize,
    pollingIntervalSeconds: 0.5,
    burstWhenBatchFull: true,
    perJobResults: true,
  } as const
  const start = (): Promise<string> =>
    boss.work(ATTEMPT_QUEUE, options, async (jobs: Job<AttemptJob>[]) => {
      const failed = await handle(jobs.map(({ data }) => data)).catch((error: Error) => {
        throw withoutCause(error)
      })
      return jobs.map(({ id, data }) => resultOf(id, failed.get(data)))
    })
  let worker: string | null = null
  return {
    wake() {
      if (worker !== null) boss.notifyWorker(worker)
    },
    async pause() {
      if (worker === null) return
      await boss.offWork(ATTEMPT_QUEUE, { id: worker, wait: true })
      worker = null
    },
    async resume() {
      worker ??= await start()
    },
    handleOne: (handleJobs) => handleOne(boss, handleJobs),
  }
}

async function handleOne(boss: PgBoss, handle: HandleJobs): Promise<boolean> {
  const [job] = await boss.fetch<AttemptJob>(ATTEMPT_QUEUE, { batchSize: 1 })
  if (job === undefined) return false
  const failed = await handle([job.data]).catch((error: Error) => new Map([[job.data, error]]))
  const failure = failed.get(job.data)
  if (failure === undefined) await boss.complete(ATTEMPT_QUEUE, job.id)
  else await boss.fail(ATTEMPT_QUEUE, job.id, withoutCause(failure))
  return true
}

/** @returns the timer that schedules a new sweep if the job of the next one is lost */
async function startSweep(
  boss: PgBoss,
  everySeconds: number,
  sweep: () => Promise<void>,
  logger: Logger,
): Promise<NodeJS.Timeout> {
  // This queue accepts one waiting job and ignores a second one.
  const scheduleNext = async (seconds = everySeconds): Promise<void> => {
    await boss.send(RECONCILE_QUEUE, null, { startAfter: seconds })
  }
  await boss.work(RECONCILE_QUEUE, { pollingIntervalSeconds: SWEEP_POLL_SECONDS }, () =>
    sweep().finally(() => scheduleNext()),
  )
  const ensureScheduled = (): void => {
    const scheduled = scheduleNext(everySeconds / 2)
    scheduled.catch((error: Error) => logger.debug('Could not schedule the next sweep', errorFields(error)))
  }
  ensureScheduled()
  return setInterval(ensureScheduled, (everySeconds / 2) * 1000)
}

function resultOf(id: string, failure: Error | undefined): JobResult {
  if (failure === undefined) return { id, status: 'completed' }
  return { id, status: 'failed', output: withoutCause(failure) }
}

/** pg-boss stores errors and their causes in the job, and PostgreSQL's errors quote personal data of the row. */
function withoutCause({ message }: Error): Error {
  return new Error(message)
}

const SWEEP_POLL_SECONDS = 1

/** If a job started earlier than this and its attempt still waits, its worker has died. */
const HANDLED_WITHIN_MS = 20_000

function isScheduled(
  { state, startAfter, startedOn }: Pick<JobWithMetadata, 'state' | 'startAfter' | 'startedOn'>,
  now: Date,
): boolean {
  if (state === 'active') return startedOn !== null && now.getTime() - startedOn.getTime() < HANDLED_WITHIN_MS
  return (state === 'created' || state === 'retry') && startAfter <= now
}
