// Hono 4 on Node.js: sends messages, records Twilio's status callbacks, and makes the retries.
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { createSender, createStatusCallbackHandler, startWorker } from 'sms-retry'

// Options come from the environment.
const sender = await createSender()
const worker = await startWorker()
const handleStatusCallback = createStatusCallbackHandler()

const app = new Hono()

// PUBLIC_BASE_URL ends with /sms.
app.all('/sms/twilio/status', (context) => handleStatusCallback(context.req.raw))

app.post('/messages', async (context) => {
  const { to, body } = await context.req.json()
  return context.json(await sender.send({ userId: 1, to, body }), 201)
})

const server = serve({ fetch: app.fetch, port: Number(process.env['PORT'] ?? 3000) })

process.once('SIGTERM', () => {
  server.close(() => Promise.all([worker.stop(), sender.close(), handleStatusCallback.close()]))
})
