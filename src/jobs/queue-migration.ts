// The queues and their options, and how a database comes to have them.
import type { Queue as QueueRow } from 'pg-boss'
import { createBoss, QUEUE_SCHEMA } from './boss.ts'
import { isAnswer, rethrowFailed } from '../postgres/database-failure.ts'
import type { Database } from '../postgres/pool.ts'
import { SchemaError } from '../shared/errors.ts'
import type { Logger } from '../shared/log.ts'

export const ATTEMPT_QUEUE = 'attempt'
export const RECONCILE_QUEUE = 'reconcile'

type QueueOptions = Omit<QueueRow, 'name'>

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

export const QUEUES: ReadonlyMap<string, QueueOptions> = new Map([
  [ATTEMPT_QUEUE, ATTEMPT_OPTIONS],
  [RECONCILE_QUEUE, RECONCILE_OPTIONS],
])

/**
 * Creates or upgrades the queue's schema and sets the queues' options. Can be run again at any time.
 *
 * @throws SchemaError if PostgreSQL refuses it, with what to do
 * @throws DatabaseError if the database is lost
 */
export async function migrateQueue(database: Database, logger: Logger): Promise<void> {
  const { boss, isFailure } = await createBoss(database, logger, { supervise: false })
  try {
    await boss.start()
    for (const [name, options] of QUEUES) {
      await boss.createQueue(name, options)
      // createQueue leaves an existing queue as it is. A queue's policy cannot change.
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
      `Migrate as a role that may create schemas in this database, and as the owner of the schema ${QUEUE_SCHEMA} if it is there.`,
    { cause: failure },
  )
}
