// One connection while somebody has it, from the pool and back.
import pg from 'pg'
import { throwNotConnected } from './database-failure.ts'
import type { PreparedStatements } from './prepared.ts'

export interface ConnectionSource {
  readonly pool: pg.Pool
  readonly prepared: PreparedStatements
}

/** A connection while it is somebody's. */
export interface Connection {
  readonly client: pg.PoolClient
  execute<Row extends object>(text: string, values?: unknown[]): Promise<pg.QueryResult<Row>>
  /** It is in an unknown state: it is used no more, and thrown away in the end. */
  breakWith(error: Error): void
  isBroken(): boolean
  release(): void
}

export async function connect({ pool, prepared }: ConnectionSource): Promise<Connection> {
  const client = await pool.connect().catch(throwNotConnected)
  let broken: Error | undefined
  const breakWith = (error: Error): void => {
    broken = error
  }
  // Without a listener, a connection that breaks between two statements would end the process.
  client.on('error', breakWith)
  return {
    client,
    execute: <Row extends object>(text: string, values?: unknown[]) =>
      client.query<Row>(prepared.toQuery(text, values)).catch((error: Error) => {
        // It broke, or has not answered in time.
        if (!(error instanceof pg.DatabaseError)) breakWith(error)
        throw error
      }),
    breakWith,
    isBroken: () => broken !== undefined,
    release() {
      client.off('error', breakWith)
      client.release(broken)
    },
  }
}

export async function onConnection<T>(
  source: ConnectionSource,
  use: (connection: Connection) => Promise<T>,
): Promise<T> {
  const connection = await connect(source)
  try {
    return await use(connection)
  } finally {
    connection.release()
  }
}

/** What `send` sends at once goes out in one system call, and wakes the server once. */
export function inOneWrite<T>({ connection }: pg.Client, send: () => T): T {
  const { stream } = connection
  stream.cork()
  try {
    return send()
  } finally {
    stream.uncork()
  }
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
