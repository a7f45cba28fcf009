// One connection while somebody has it, from the pool and back.
import type pg from 'pg'
import { rethrowFailed } from './database-failure.ts'
import type { PreparedStatements } from './prepared.ts'
import type { RowReaders } from './row-reader.ts'

export interface ConnectionSource {
  readonly pool: pg.Pool
  readonly prepared: PreparedStatements
  readonly rowReaders: RowReaders
  /** For each wait for an answer; 0 for none. */
  readonly queryTimeoutMs: number
}

/** A connection while it is somebody's. */
export interface Connection {
  readonly client: pg.PoolClient
  /** It is in an unknown state: it is used no more, and thrown away in the end. */
  breakWith(error: Error): void
  isBroken(): boolean
}

export async function onConnection<T>(
  { pool }: ConnectionSource,
  use: (connection: Connection) => Promise<T>,
): Promise<T> {
  // Not even a login that is refused says anything about what was to be asked.
  const client = await pool.connect().catch(rethrowFailed)
  let broken: Error | undefined
  const breakWith = (error: Error): void => {
    broken = error
  }
  // Without a listener, a connection that breaks between two statements would end the process.
  client.on('error', breakWith)
  try {
    return await use({ client, breakWith, isBroken: () => broken !== undefined })
  } finally {
    client.off('error', breakWith)
    client.release(broken)
  }
}

/** A query whose wait is limited. For all queries of a pool, pg's option would be one for a whole transaction as well. */
export function limited<Query extends pg.QueryConfig>(
  query: Query,
  { queryTimeoutMs }: Pick<ConnectionSource, 'queryTimeoutMs'>,
): Query & { readonly query_timeout: number } {
  return { ...query, query_timeout: queryTimeoutMs }
}

export interface Connections {
  readonly total: number
  readonly idle: number
  /** Who waits until somebody gives one back. */
  readonly waiting: number
}

export function connectionsOf({
  totalCount: total,
  idleCount: idle,
  waitingCount,
  options,
}: pg.Pool): Connections {
  // Who has just asked counts as waiting for a moment, even if one is free or can be made.
  return { total, idle, waiting: Math.max(0, waitingCount - idle - (options.max - total)) }
}
