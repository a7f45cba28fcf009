// Express 4: sends messages, records Twilio's status callbacks, and makes the retries.
import express from 'express'
import { createSender, startWorker, statusCallbackRouter } from 'sms-retry'

// Options come from the environment.
const sender = await createSender()
const worker = await startWorker()
const statusCallbacks = statusCallbackRouter()

const app = express()
// PUBLIC_BASE_URL ends with /sms. The router is mounted before body parsers.
app.use('/sms', statusCallbacks)
app.use(express.json())

app.post('/messages', (request, response, next) => {
  const { to, body } = request.body
  sender
    .send({ userId: 1, to, body })
    .then((result) => response.status(201).json(result))
    // Express 4 does not handle rejected promises.
    .catch(next)
})

const server = app.listen(Number(process.env['PORT'] ?? 3000))

process.once('SIGTERM', () => {
  server.close(() => Promise.all([worker.stop(), sender.close(), statusCallbacks.close()]))
})
