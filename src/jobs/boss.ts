// pg-boss as both the queue and its migration need it: loaded late, on our database, in a schema of our own.
import type { ConstructorOptions, PgBoss } from 'pg-boss'
import type { Database, Db } from '../postgres/pool.ts'
import { errorFields, type Logger, throttledLog } from '../shared/log.ts'

/** An app that uses pg-boss itself, in whatever version, is not disturbed. */
export const QUEUE_SCHEMA = 'sms_retry_pgboss'

export interface Boss {
  readonly boss: PgBoss
  /** Whether it is the database that failed, and not pg-boss that complains about a schema that is missing or old. */
  readonly isFailure: (error: unknown) => error is Error
}

/** Not started yet. Its own trouble is logged. */
export async function createBoss(
  database: Database,
  logger: Logger,
  options: Omit<ConstructorOptions, 'db' | 'schema' | 'schedule'>,
): Promise<Boss> {
  const { db, isFailure } = adapterOf(database)
  const { PgBoss } = await load()
  const boss = new PgBoss({ ...options, db, schema: QUEUE_SCHEMA, schedule: false })
  // Without a listener, an error event would end the process.
  boss.on('error', createErrorLog(logger))
  return { boss, isFailure }
}

let loaded: Promise<typeof import('pg-boss')> | undefined

/** When it is first needed: it is as much code as express, and an app that imports us may never start a queue. */
function load(): Promise<typeof import('pg-boss')> {
  loaded ??= import('pg-boss')
  return loaded
}

const LOG_AGAIN_AFTER_MS = 60_000

/** While the database is away, each poll fails: one line says so, then one a minute. */
function createErrorLog(logger: Logger): (error: Error) => void {
  const log = throttledLog((message, fields) => logger.error(message, fields), LOG_AGAIN_AFTER_MS)
  // pg-boss's workers emit an object that only looks like an error.
  return ({ message, stack }) =>
    log('The queue has a problem', errorFields(Object.assign(new Error(message), { stack })))
}

/** pg-boss reads the SQLSTATE off the driver's own errors. */
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
