// Use case: bring a database up to date, table and queue, whatever state it is in and however often.
import type { DatabaseConfig } from '../config/config.ts'
import { migrateTable, whileMigrating } from '../db/migrations.ts'
import { openDatabase } from '../postgres/pool.ts'
import { errorFields, type Logger } from '../shared/log.ts'
import { migrateQueue } from '../jobs/queue-migration.ts'

/**
 * Two processes that migrate at once take turns.
 *
 * @returns the names of the table's migrations that were applied now
 * @throws SchemaError if the table or its contents are in the way, or a right is missing, with how to mend that
 * @throws DatabaseError if the database is lost
 */
export function migrate(config: DatabaseConfig, logger: Logger): Promise<string[]> {
  return whileMigrating(config, async (client) => {
    const applied = await migrateTable(client)
    const onTrouble = (what: string, error: Error): unknown => logger.warn(what, errorFields(error))
    const database = openDatabase(config, onTrouble, NO_TIMEOUT)
    try {
      await migrateQueue(database, logger)
    } finally {
      await database.close()
    }
    return applied
  })
}

/** A migration of a large queue may take its time. */
const NO_TIMEOUT = 0
