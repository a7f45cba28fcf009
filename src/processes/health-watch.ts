// The findings of delivery/health.ts, as web processes and commands read them.
import { readHealthFigures, type ReadFigures, type RequiredQueue } from '../db/health-figures.ts'
import { findingsOf } from '../delivery/health.ts'
import type { Finding } from '../delivery/health-finding.ts'
import { requiredQueueVersion } from '../jobs/boss.ts'
import { FAILED_OUTCOME_QUEUE, QUEUES } from '../jobs/queue-migration.ts'
import type { Db } from '../postgres/pool.ts'
import { CachedFigure } from '../shared/cached-figure.ts'
import { errorFields, type Logger, throttledLog } from '../shared/log.ts'

export interface Health extends ReadFigures {
  readonly findings: readonly Finding[]
}

/** @throws DatabaseError */
export async function readHealth(db: Db): Promise<Health> {
  const queue: RequiredQueue = {
    version: requiredQueueVersion(),
    queues: [...QUEUES.keys()],
    failedOutcomes: FAILED_OUTCOME_QUEUE,
  }
  const read = await readHealthFigures(db, queue)
  return { ...read, findings: findingsOf(read.figures) }
}

/** With the longest age, the death of a worker still shows within a minute. */
const AGE = { minMs: 3_000, maxMs: 10_000 }
const LOG_AGAIN_AFTER_MS = 60_000

/** The findings for pages and scrapes, which are read often and must not fail because of them. */
export class HealthWatch {
  readonly #findings: CachedFigure<readonly Finding[]>

  constructor({ database, logger }: { readonly database: Db; readonly logger: Pick<Logger, 'warn'> }) {
    const log = throttledLog((message, fields) => logger.warn(message, fields), LOG_AGAIN_AFTER_MS)
    this.#findings = new CachedFigure(
      async () => (await readHealth(database)).findings,
      (error) => log('Could not check for incidents', errorFields(error)),
      AGE,
    )
  }

  /** Null if they could not be read, for example because a statement timed out. Never rejects. */
  findings(): Promise<readonly Finding[] | null> {
    return this.#findings.read()
  }
}
