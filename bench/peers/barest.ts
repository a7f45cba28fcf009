// The least that keeps a callback: what arrives while a list is being written is the next list, and one statement writes
// it, two columns of each row. No order, no repetition, no metadata, no retry and no job. What it takes is what this
// machine asks of anybody who waits for a database.
import { setImmediate as nextTurn } from 'node:timers/promises'
import pg from 'pg'
import { type Callback, required, serve } from './endpoint.ts'

interface Waiting {
  readonly callback: Callback
  done(): void
}

const UPDATE = {
  name: 'update',
  text: `
    update sms_usage_logs as m
       set final_status = c.status, success = c.status <> 'undelivered'
      from unnest($1::integer[], $2::text[]) as c (id, status)
     where m.id = c.id`,
}

const client = new pg.Client({ connectionString: required('DATABASE_URL') })
await client.connect()

let waiting: Waiting[] = []
let isWriting = false

serve(
  (callback) =>
    new Promise((done) => {
      waiting.push({ callback, done })
      if (!isWriting) void writeAll()
    }),
)

async function writeAll(): Promise<void> {
  isWriting = true
  // As the product does: all that has arrived by now belongs to the first list.
  await nextTurn()
  while (waiting.length > 0) {
    const list = waiting
    waiting = []
    const ids = list.map(({ callback }) => callback.messageId)
    const statuses = list.map(({ callback }) => callback.status)
    await client.query({ ...UPDATE, values: [ids, statuses] })
    for (const { done } of list) done()
  }
  isWriting = false
}
