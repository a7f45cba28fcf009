// Use case: bring the table and the queue of a database up to date. Safe to repeat, whatever state they are in.
import type { DatabaseConfig } from '../config/config.ts'
import { migrateTable, whileMigrating } from '../db/migrations.ts'
import { openDatabase } from '../postgres/pool.ts'
import { errorFields, type Logger } from '../shared/log.ts'
import { migrateQueue } from '../jobs/queue-migration.ts'

/**
 * Concurrent migrations run one after the other.
 *
 * @returns the names of the table migrations that were applied
 * @throws SchemaError if the table or its rows prevent a migration, or a privilege is missing; it says how to fix that
 * @throws DatabaseError if the connection is lost
 */
export function migrate(config: DatabaseConfig, logger: Logger): Promise<string[]> {
  return whileMigrating(config, async (client) => {
    const applied = await migrateTable(client)
    const onWarning = (message: string, error: Error): unknown => logger.warn(message, errorFields(error))
    const database = openDatabase(config, onWarning, NO_TIMEOUT)
    try {
      await migrateQueue(database, logger)
    } finally {
      await database.close()
    }
    return applied
  })
}

/** Migrating a large queue can take long. */
const NO_TIMEOUT = 0
