// The findings of delivery/health.ts, as web processes and commands read them.
import { readHealthFigures, type ReadFigures, type RequiredQueue } from '../db/health-figures.ts'
import { findingsOf } from '../delivery/health.ts'
import type { Finding } from '../delivery/health-finding.ts'
import { requiredQueueVersion } from '../jobs/boss.ts'
import { FAILED_OUTCOME_QUEUE, QUEUES } from '../jobs/queue-migration.ts'
import type { Db } from '../postgres/pool.ts'
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

/**
 * The findings are cached for at least this long, and for 20 times the duration of their statements. With the longest age,
 * the death of a worker still shows within a minute.
 */
const MIN_AGE_MS = 3_000
const MAX_AGE_MS = 10_000
const LOG_AGAIN_AFTER_MS = 60_000

/** The findings for pages and scrapes, which are read often and must not fail because of them. */
export class HealthWatch {
  readonly #db: Db
  readonly #log: (why: unknown) => void
  #findings: Promise<readonly Finding[] | null> | undefined
  #validUntilMs = 0

  constructor({ database, logger }: { readonly database: Db; readonly logger: Pick<Logger, 'warn'> }) {
    this.#db = database
    const log = throttledLog((message, fields) => logger.warn(message, fields), LOG_AGAIN_AFTER_MS)
    this.#log = (why) => log('Could not check for incidents', errorFields(why))
  }

  /** Null if they could not be read, for example because a statement timed out. Never rejects. */
  findings(): Promise<readonly Finding[] | null> {
    if (this.#findings !== undefined && performance.now() < this.#validUntilMs) return this.#findings
    const startedMs = performance.now()
    // While the statements run, further calls wait for the same result.
    this.#validUntilMs = Number.POSITIVE_INFINITY
    this.#findings = readHealth(this.#db)
      .then(
        ({ findings }) => findings,
        (error: unknown) => {
          this.#log(error)
          return null
        },
      )
      .finally(() => {
        const nowMs = performance.now()
        this.#validUntilMs = nowMs + Math.min(Math.max(MIN_AGE_MS, 20 * (nowMs - startedMs)), MAX_AGE_MS)
      })
    return this.#findings
  }
}
