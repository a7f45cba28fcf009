// node:http without a framework: sends messages, records Twilio's status callbacks, and makes the retries.
import { createServer, type IncomingMessage } from 'node:http'
import { json } from 'node:stream/consumers'
import { createSender, type SendResult, startWorker, statusCallbackRouter } from 'sms-retry'

// Options come from the environment.
const sender = await createSender()
const worker = await startWorker()
const statusCallbacks = statusCallbackRouter()

const server = createServer((request, response) => {
  const [path] = (request.url ?? '').split('?')
  // PUBLIC_BASE_URL ends with /sms. The listener reads the body itself.
  if (path === '/sms/twilio/status') return statusCallbacks(request, response)
  if (path !== '/messages') return void response.writeHead(404).end()
  sendMessage(request).then(
    (result) => response.writeHead(201, { 'Content-Type': 'application/json' }).end(JSON.stringify(result)),
    (error: Error) => response.writeHead(400).end(error.message),
  )
})

async function sendMessage(request: IncomingMessage): Promise<SendResult> {
  const { to, body } = (await json(request)) as { to: string; body: string }
  return sender.send({ userId: 1, to, body })
}

server.listen(Number(process.env['PORT'] ?? 3000))

process.once('SIGTERM', () => {
  server.close(() => Promise.all([worker.stop(), sender.close(), statusCallbacks.close()]))
})
