// Express, pg and graphile-worker: row and job in one transaction for each callback, the job by its SQL function.
import { makeWorkerUtils } from 'graphile-worker'
import { required, serve } from './endpoint.ts'
import { openPool, recordInTransaction } from './row-in-transaction.ts'

const ADD_JOB = `select graphile_worker.add_job('attempt', payload := $1::json, run_at := $2)`

const pool = openPool(required('DATABASE_URL'))
const utils = await makeWorkerUtils({ pgPool: pool })
await utils.migrate()

serve((callback) =>
  recordInTransaction(pool, callback, (client, { messageId, attempt }, at) =>
    client.query(ADD_JOB, [JSON.stringify({ message: messageId, attempt: attempt + 1 }), at]),
  ),
)
