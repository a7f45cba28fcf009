// Creates pg-boss for the queue and for its migration: on our database, in a schema of its own.
import { createRequire } from 'node:module'
import type { ConstructorOptions, PgBoss } from 'pg-boss'
import type { Database, Db } from '../postgres/pool.ts'
import { errorFields, type Logger, throttledLog } from '../shared/log.ts'

/** Not pg-boss's default schema: the app may use pg-boss as well, in any version. */
export const QUEUE_SCHEMA = 'sms_retry_pgboss'

/** The version of pg-boss's schema that this version of the package needs. */
export function requiredQueueVersion(): number {
  const manifest: { pgboss: { schema: number } } = createRequire(import.meta.url)('pg-boss/package.json')
  return manifest.pgboss.schema
}

export interface Boss {
  readonly boss: PgBoss
  /** True for an error of the database; false for an error of pg-boss, such as a missing or old schema. */
  readonly isFailure: (error: unknown) => error is Error
}

/** The instance is not started yet. The errors that it emits are logged. */
export async function createBoss(
  database: Database,
  logger: Logger,
  options: Omit<ConstructorOptions, 'db' | 'schema' | 'schedule'>,
): Promise<Boss> {
  const { db, isFailure } = adapterOf(database)
  const { PgBoss } = await load()
  // Spans of pg-boss's jobs would repeat ours (src/shared/tracing.ts), and batches of them would hide the messages.
  const openTelemetry = { enabled: false }
  const boss = new PgBoss({ ...options, db, schema: QUEUE_SCHEMA, schedule: false, openTelemetry })
  // Without a listener, an error event would end the process.
  boss.on('error', createErrorLog(logger))
  return { boss, isFailure }
}

let loaded: Promise<typeof import('pg-boss')> | undefined

/** Loaded on first use: it is as much code as Express, and an app that imports sms-retry may never start a queue. */
function load(): Promise<typeof import('pg-boss')> {
  loaded ??= import('pg-boss')
  return loaded
}

const LOG_AGAIN_AFTER_MS = 60_000

/** While the database is unavailable, every poll fails. This is logged once, then once a minute. */
function createErrorLog(logger: Logger): (error: Error) => void {
  const log = throttledLog((message, fields) => logger.error(message, fields), LOG_AGAIN_AFTER_MS)
  // pg-boss's workers emit a plain object with the fields of an error.
  return ({ message, stack }) =>
    log('The job queue failed', errorFields(Object.assign(new Error(message), { stack })))
}

/** pg-boss reads the SQLSTATE from the driver's errors, so it gets these, not our DatabaseError. */
function adapterOf(database: Database): { readonly db: Db; readonly isFailure: Boss['isFailure'] } {
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
