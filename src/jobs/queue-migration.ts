// The queues and their options, and the migration that creates them in a database.
import type { Queue as QueueRow } from 'pg-boss'
import { createBoss, QUEUE_SCHEMA } from './boss.ts'
import { isAnswer, rethrowFailed } from '../postgres/database-failure.ts'
import type { Database } from '../postgres/pool.ts'
import { SchemaError } from '../shared/errors.ts'
import type { Logger } from '../shared/log.ts'

export const ATTEMPT_QUEUE = 'attempt'
export const RECONCILE_QUEUE = 'reconcile'
export const OUTCOME_QUEUE = 'outcome'
export const FAILED_OUTCOME_QUEUE = 'outcome_failed'

type QueueOptions = Omit<QueueRow, 'name'>

const DAY_SECONDS = 24 * 3600

/**
 * A job of an attempt fails only if the database fails while it is handled. It is retried then, for hours if necessary. A
 * handler ends when the attempt is claimed. If that takes longer than a job may run, the job runs twice, which is harmless.
 */
const ATTEMPT_OPTIONS: QueueOptions = {
  policy: 'standard',
  expireInSeconds: 30,
  retryLimit: 1000,
  retryDelay: 2,
  retryBackoff: true,
  retryDelayMax: 60,
  retentionSeconds: 30 * DAY_SECONDS,
  deleteAfterSeconds: DAY_SECONDS,
}

/** A failed sweep is not retried, because the next one follows soon. */
const RECONCILE_OPTIONS: QueueOptions = {
  policy: 'short',
  expireInSeconds: 900,
  retryLimit: 0,
  deleteAfterSeconds: 3600,
}

/**
 * pg-boss doubles the delay each time and adds up to as much again. On average, the first repetition comes after 10 s and
 * the tenth after three hours. A delivery takes up to 30 s; the rest is for the statements before and after it.
 */
const OUTCOME_OPTIONS: QueueOptions = {
  policy: 'standard',
  expireInSeconds: 60,
  retryLimit: 10,
  retryDelay: 7,
  retryBackoff: true,
  retentionSeconds: 30 * DAY_SECONDS,
  deleteAfterSeconds: DAY_SECONDS,
  deadLetter: FAILED_OUTCOME_QUEUE,
}

/** No worker takes these jobs. They wait for a person. */
const FAILED_OUTCOME_OPTIONS: QueueOptions = {
  policy: 'standard',
  retentionSeconds: 30 * DAY_SECONDS,
  deleteAfterSeconds: DAY_SECONDS,
}

/** The queue of failed outcomes must exist before the queue that names it. */
export const QUEUES: ReadonlyMap<string, QueueOptions> = new Map([
  [ATTEMPT_QUEUE, ATTEMPT_OPTIONS],
  [RECONCILE_QUEUE, RECONCILE_OPTIONS],
  [FAILED_OUTCOME_QUEUE, FAILED_OUTCOME_OPTIONS],
  [OUTCOME_QUEUE, OUTCOME_OPTIONS],
])

/**
 * Creates or upgrades the queue's schema, and sets the options of the queues. Safe to run at any time.
 *
 * @throws SchemaError if PostgreSQL refuses it, with what to do
 * @throws DatabaseError if the connection fails
 */
export async function migrateQueue(database: Database, logger: Logger): Promise<void> {
  const { boss, isFailure } = await createBoss(database, logger, { supervise: false })
  try {
    await boss.start()
    for (const [name, options] of QUEUES) {
      await boss.createQueue(name, options)
      // createQueue does not change an existing queue. The policy of a queue cannot be changed.
      const { policy: _, ...changeable } = options
      await boss.updateQueue(name, changeable)
    }
  } catch (error) {
    if (isFailure(error)) throwExplained(error)
    throw error
  } finally {
    await boss.stop({ graceful: false, close: false })
  }
}

function throwExplained(failure: Error): never {
  if (!isAnswer(failure)) rethrowFailed(failure)
  throw new SchemaError(
    `PostgreSQL refuses the queue's migration: ${failure.message}\n` +
      `Migrate as a role that may create schemas in this database. If the schema ${QUEUE_SCHEMA} exists, it must own that schema.`,
    { cause: failure },
  )
}
