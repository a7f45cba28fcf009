// Express, pg and BullMQ: the row in one statement, then the delayed job in Redis. There is no transaction over both: a
// crash in between loses the retry, which is not held against it here.
import { Queue } from 'bullmq'
import { required, serve } from './endpoint.ts'
import { changeOf, nextRetryAt, UPDATE } from './retry-rule.ts'
import { openPool } from './row-in-transaction.ts'

const pool = openPool(required('DATABASE_URL'))
const queue = new Queue('attempt', {
  connection: { host: '127.0.0.1', port: Number(required('REDIS_PORT')) },
})
await queue.waitUntilReady()

serve(async (callback) => {
  const { messageId, attempt } = callback
  // Without reading the row first, what is known of it is what the callback says.
  const row = { retryCount: attempt, maxRetries: 3 }
  const retryAt = nextRetryAt(callback, row)
  await pool.query(UPDATE, [messageId, ...changeOf(callback, row, retryAt)])
  if (retryAt === null) return
  await queue.add(
    'attempt',
    { message: messageId, attempt: attempt + 1 },
    { delay: retryAt.getTime() - Date.now(), removeOnComplete: true },
  )
})
