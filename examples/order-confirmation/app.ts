// A shop that confirms its orders by text message: order and message are committed together, Twilio's status callbacks
// come in through the shop's own Express app, and a worker in the same process makes the attempts.
import express, { type ErrorRequestHandler } from 'express'
import pg from 'pg'
import { createSender, InvalidMessageError, startWorker, statusCallbackRouter } from 'sms-retry'

const pool = new pg.Pool({ connectionString: process.env['DATABASE_URL'] })
// The pool replaces connections that break while nobody uses them; without a listener they would end the process.
pool.on('error', (error) => console.error(error.message))
await pool.query(`
  create table if not exists shop_order (
    id integer generated always as identity primary key,
    item text not null,
    confirmation integer not null)`)

// Their options come from the environment.
const sender = await createSender()
const worker = await startWorker()
const statusCallbacks = statusCallbackRouter()

const app = express()
// For the shop's own use of request.ip. sms-retry believes no proxy: it knows its address from PUBLIC_BASE_URL.
app.set('trust proxy', 'loopback')
// Before the parsers of bodies, because it has one of its own.
app.use('/sms', statusCallbacks)
app.use(express.json(), express.urlencoded({ extended: true }))

app.post('/orders', async (request, response) => {
  const { phone, item } = request.body as { phone: string; item: string }
  response.status(201).json(await placeOrder(phone, item))
})

app.get('/orders/:id', async (request, response) => {
  const { rows } = await pool.query(
    `select item, final_status as "confirmation", retry_count as "retries"
       from shop_order join sms_usage_logs on sms_usage_logs.id = confirmation
      where shop_order.id = $1`,
    [Number(request.params.id)],
  )
  if (rows.length === 0) response.status(404).end()
  else response.json(rows[0])
})

const answerInvalid: ErrorRequestHandler = (error, _request, response, next) => {
  if (error instanceof InvalidMessageError) response.status(400).json({ error: error.message })
  else next(error)
}
app.use(answerInvalid)

/** The order and its confirmation, or neither. */
async function placeOrder(phone: string, item: string): Promise<unknown> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    const confirmation = await sender.enqueue(
      { userId: 1, to: phone, body: `Thank you for your order: ${item}`, validForSeconds: 24 * 3600 },
      { db: client },
    )
    const { rows } = await client.query(
      'insert into shop_order (item, confirmation) values ($1, $2) returning id as "order"',
      [item, confirmation.id],
    )
    await client.query('commit')
    return rows[0]
  } catch (error) {
    await client.query('rollback')
    throw error
  } finally {
    client.release()
  }
}

const server = app.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1')

process.once('SIGTERM', async () => {
  await new Promise((resolve) => server.close(resolve))
  await Promise.all([worker.stop(), sender.close(), statusCallbacks.close(), pool.end()])
})
