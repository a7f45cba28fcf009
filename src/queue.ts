// The alarm clocks: one pg-boss job for each attempt that waits, and one for the next sweep over what is overdue. A job
// holds ids only, and the row is the truth: losing a job or ringing twice does no harm.
import pLimit from 'p-limit'
import type { JobWithMetadata, PgBoss, Queue as BossQueue } from 'pg-boss'
import type { Database, Db } from './db/pool.ts'
import type { Alarm } from './delivery/decision.ts'
import { DatabaseError, SchemaError } from './errors.ts'
import { errorFields, type Logger, seldom } from './log.ts'

/** A schema of our own: an app that uses pg-boss itself, in whatever version, is not disturbed. */
const QUEUE_SCHEMA = 'sms_retry_pgboss'
const ATTEMPT_QUEUE = 'attempt'
const RECONCILE_QUEUE = 'reconcile'

let boss: Promise<typeof import('pg-boss')> | undefined

/** When it is first needed: it is as much code as express, and an app that imports us may never start a queue. */
function loadBoss(): Promise<typeof import('pg-boss')> {
  boss ??= import('pg-boss')
  return boss
}

type QueueOptions = Omit<BossQueue, 'name'>

export interface AttemptJob {
  readonly message: number
  readonly attempt: number
}

export interface ScheduledAlarm {
  readonly messageId: number
  readonly alarm: Alarm
  /** Null for at once. */
  readonly at: Date | null
}

export interface Queue {
  /** Adds the jobs in the caller's transaction. One that exists already stays as it is. */
  schedule(tx: Db, alarms: readonly ScheduledAlarm[]): Promise<void>
  /** Removes the jobs in the caller's transaction. */
  unschedule(tx: Db, alarms: readonly Omit<ScheduledAlarm, 'at'>[]): Promise<void>
  /** Of these alarms, the ones that will ring soon, or have just rung: by jobId. */
  findSet(alarms: readonly Omit<ScheduledAlarm, 'at'>[], now: Date): Promise<ReadonlySet<string>>
  /**
   * Calls `handle` with due jobs, up to `batchSize` at once; a job whose handling throws rings again.
   *
   * @returns has it look for due jobs at once, instead of at its next poll
   */
  work(options: { batchSize: number }, handle: (jobs: AttemptJob[]) => Promise<void>): Promise<() => void>
  /**
   * Calls `sweep` every so many seconds, in one of the processes that share this database. It is told of no failure:
   * `sweep` must not reject.
   */
  sweep(options: { everySeconds: number }, sweep: () => Promise<void>): Promise<void>
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
  const { db, isFailure } = adapterOf(database)
  const supervise = role === 'work'
  const { PgBoss } = await loadBoss()
  const boss = new PgBoss({
    db,
    schema: QUEUE_SCHEMA,
    migrate: false,
    supervise,
    superviseIntervalSeconds: SUPERVISE_SECONDS,
    monitorIntervalSeconds: SUPERVISE_SECONDS,
    schedule: false,
  })
  // Without a listener, an error event would end the process.
  boss.on('error', createErrorLog(logger))
  try {
    await boss.start()
    const queues = new Set((await boss.getQueues([...QUEUES.keys()])).map(({ name }) => name))
    const missing = [...QUEUES.keys()].filter((name) => !queues.has(name))
    if (missing.length > 0) throw new Error(`There is no queue ${missing.join(', ')}`)
  } catch (error) {
    // What a failed start has set up so far, its timers above all, goes as well.
    await boss.stop({ graceful: false, close: false })
    const { message } = error as Error
    if (isFailure(error)) throwLost(error)
    throw new SchemaError(`The queue is not ready: ${message}. Run: sms-retry migrate`, { cause: error })
  }
  return queueOf(boss, logger)
}

/** Together with `expireInSeconds`: the jobs of a worker that died ring again within a minute. */
const SUPERVISE_SECONDS = 10

const LOG_AGAIN_AFTER_MS = 60_000

/** While the database is away, each poll fails: one line says so, then one a minute. */
function createErrorLog(logger: Logger): (error: Error) => void {
  const log = seldom((message, fields) => logger.error(message, fields), LOG_AGAIN_AFTER_MS)
  // pg-boss's workers emit an object that only looks like an error.
  return ({ message, stack }) =>
    log('The queue has a problem', errorFields(Object.assign(new Error(message), { stack })))
}

/**
 * The database for pg-boss, which reads the SQLSTATE off the driver's own errors; and a way to tell these from
 * its complaints about a schema that is missing or old.
 */
function adapterOf(database: Database): { db: Db; isFailure: (error: unknown) => error is Error } {
  const failures = new WeakSet<object>()
  const executeSql: Db['executeSql'] = (text, values) =>
    database.executeSql<never>(text, values).catch((error: Error) => {
      const original = error.cause instanceof Error ? error.cause : error
      failures.add(original)
      throw original
    })
  return {
    db: { executeSql },
    isFailure: (error): error is Error => error instanceof Error && failures.has(error),
  }
}

/** A look at many jobs must leave connections to others. */
const MOST_LOOKS_AT_ONCE = 2

function throwLost(error: Error): never {
  throw new DatabaseError(`The database failed: ${error.message}`, { cause: error })
}

function queueOf(boss: PgBoss, logger: Logger): Queue {
  const timers: NodeJS.Timeout[] = []
  const inTurn = pLimit(MOST_LOOKS_AT_ONCE)
  return {
    async schedule(tx, alarms) {
      if (alarms.length === 0) return
      const jobs = alarms.map(({ messageId, alarm, at }) => ({
        id: jobId(messageId, alarm),
        data: { message: messageId, attempt: alarm.attempt } satisfies AttemptJob,
        ...(at === null ? {} : { startAfter: at }),
      }))
      await boss.insert(ATTEMPT_QUEUE, jobs, { db: tx })
    },
    async unschedule(tx, alarms) {
      if (alarms.length === 0) return
      const ids = alarms.map(({ messageId, alarm }) => jobId(messageId, alarm))
      await boss.deleteJob(ATTEMPT_QUEUE, ids, { db: tx })
    },
    async findSet(alarms, now) {
      const ids = alarms.map(({ messageId, alarm }) => jobId(messageId, alarm))
      const found = await Promise.all(
        ids.map((id) => inTurn(() => boss.findJobs(ATTEMPT_QUEUE, { id }).catch(throwLost))),
      )
      return new Set(
        found
          .flat()
          .filter((job) => isSet(job, now))
          .map(({ id }) => id),
      )
    },
    async work({ batchSize }, handle) {
      const options = { batchSize, pollingIntervalSeconds: 0.5, burstWhenBatchFull: true }
      const worker = await boss.work(ATTEMPT_QUEUE, options, (jobs: { data: AttemptJob }[]) =>
        handle(jobs.map(({ data }) => data)).catch((error: Error) => {
          // pg-boss keeps what is thrown in the job, with its cause; PostgreSQL's errors quote the row.
          throw new Error(error.message)
        }),
      )
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
    stop(timeoutMs) {
      for (const timer of timers) clearInterval(timer)
      return boss.stop({ graceful: true, timeout: timeoutMs, close: false })
    },
  }
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
 * A version 8 UUID (RFC 9562, 5.8) that spells the alarm out: `pppppppp-0000-8aaa-8000-mmmmmmmmmmmm`, with
 * postponements, attempt and message in hexadecimal. The same alarm always has the same job.
 */
export function jobId(messageId: number, { attempt, postponements }: Alarm): string {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0')
  return `${hex(postponements, 8)}-0000-8${hex(attempt, 3)}-8000-${hex(messageId, 12)}`
}

/** Creates or upgrades the queue's schema and sets the queue's options. Can be run again at any time. */
export async function migrateQueue(database: Database, logger: Logger): Promise<void> {
  const { PgBoss } = await loadBoss()
  const boss = new PgBoss({
    db: adapterOf(database).db,
    schema: QUEUE_SCHEMA,
    supervise: false,
    schedule: false,
  })
  boss.on('error', (error) => logger.error('The queue has a problem', errorFields(error)))
  await boss.start()
  try {
    for (const [name, options] of QUEUES) {
      await boss.createQueue(name, options)
      // createQueue leaves an existing queue as it is. A queue's policy cannot change.
      const { policy: _, ...changeable } = options
      await boss.updateQueue(name, changeable)
    }
  } finally {
    await boss.stop({ close: false })
  }
}

/**
 * A job of an attempt fails only if the database is away while it is handled; then it rings again, for hours if it
 * must. A handler ends once the attempt is claimed; should that take longer, the job rings twice, which does no harm.
 */
const ATTEMPT_OPTIONS: QueueOptions = {
  policy: 'standard',
  expireInSeconds: 30,
  retryLimit: 1000,
  retryDelay: 2,
  retryBackoff: true,
  retryDelayMax: 60,
  retentionSeconds: 30 * 24 * 3600,
  deleteAfterSeconds: 24 * 3600,
}

/** A sweep that fails is not repeated: the next one comes soon. */
const RECONCILE_OPTIONS: QueueOptions = {
  policy: 'short',
  expireInSeconds: 900,
  retryLimit: 0,
  deleteAfterSeconds: 3600,
}

const QUEUES = new Map([
  [ATTEMPT_QUEUE, ATTEMPT_OPTIONS],
  [RECONCILE_QUEUE, RECONCILE_OPTIONS],
])
