// The queues and their options, and how a database comes to have them.
import type { Queue as QueueRow } from 'pg-boss'
import { createBoss } from './boss.ts'
import type { Database } from './db/pool.ts'
import type { Logger } from './log.ts'

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

/** Creates or upgrades the queue's schema and sets the queues' options. Can be run again at any time. */
export async function migrateQueue(database: Database, logger: Logger): Promise<void> {
  const { boss } = await createBoss(database, logger, { supervise: false })
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
