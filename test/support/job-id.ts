// The id of the job that an alarm of a message has: the row's key is part of it.
import type { JobRef } from '../../src/delivery/decision.ts'
import { jobId } from '../../src/jobs/job-id.ts'
import type { TestDatabase } from './database.ts'

export async function jobIdOf(database: TestDatabase, messageId: number, job: JobRef): Promise<string> {
  const [row] = await database.query<{ key: string | null }>(
    `select sms_metadata ->> 'callback_key' as "key" from sms_usage_logs where id = $1`,
    [messageId],
  )
  if (row === undefined) throw new Error(`there is no message ${messageId}`)
  return jobId({ messageId, key: row.key, ...job })
}
