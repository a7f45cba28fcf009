// The plain way with a queue in Postgres: one transaction a callback, which locks the row, changes it, and adds the job.
import pg from 'pg'
import type { Callback } from './endpoint.ts'
import { changeOf, nextRetryAt, type RetryRow, UPDATE } from './retry-rule.ts'

const LOCK = `
  select final_status as "status", retry_count as "retryCount", max_retries as "maxRetries"
    from sms_usage_logs where id = $1 for update`

const FINAL = ['delivered', 'read', 'undelivered', 'failed', 'canceled', 'expired']

export function openPool(connectionString: string): pg.Pool {
  const pool = new pg.Pool({ connectionString, max: 10 })
  const complain = (error: Error): unknown => process.stderr.write(`${error.message}\n`)
  pool.on('error', complain).on('connect', (client) => client.on('error', complain))
  return pool
}

export async function recordInTransaction(
  pool: pg.Pool,
  callback: Callback,
  addJob: (client: pg.PoolClient, callback: Callback, at: Date) => Promise<unknown>,
): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    const { rows } = await client.query<RetryRow & { status: string }>(LOCK, [callback.messageId])
    const [row] = rows
    if (row !== undefined && !FINAL.includes(row.status)) {
      const retryAt = nextRetryAt(callback, row)
      await client.query(UPDATE, [callback.messageId, ...changeOf(callback, row, retryAt)])
      if (retryAt !== null) await addJob(client, callback, retryAt)
    }
    await client.query('commit')
    client.release()
  } catch (error) {
    // What is in an unknown state is thrown away.
    client.release(true)
    throw error
  }
}
