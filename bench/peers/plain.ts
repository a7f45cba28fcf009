// Express, pg and pg-boss, put together as its documentation shows: row and job in one transaction for each callback.
import { PgBoss } from 'pg-boss'
import { required, serve } from './endpoint.ts'
import { openPool, recordInTransaction } from './row-in-transaction.ts'

const QUEUE = 'attempt'

const pool = openPool(required('DATABASE_URL'))
const boss = new PgBoss({
  db: { executeSql: (text, values) => pool.query(text, values) },
  supervise: false,
  schedule: false,
})
boss.on('error', (error) => process.stderr.write(`${error.message}\n`))
await boss.start()
await boss.createQueue(QUEUE)

serve((callback) =>
  recordInTransaction(pool, callback, (client, { messageId, attempt }, startAfter) =>
    boss.send(
      QUEUE,
      { message: messageId, attempt: attempt + 1 },
      { startAfter, db: { executeSql: (text, values) => client.query(text, values) } },
    ),
  ),
)
