// Fastify 5: sends messages, records Twilio's status callbacks, and makes the retries.
import fastify, { type onRequestAsyncHookHandler } from 'fastify'
import { createSender, startWorker, statusCallbackRouter } from 'sms-retry'

// Options come from the environment.
const sender = await createSender()
const worker = await startWorker()
const statusCallbacks = statusCallbackRouter()

const app = fastify()

// PUBLIC_BASE_URL ends with /sms. The hook takes the request before Fastify reads its body.
const onRequest: onRequestAsyncHookHandler = async (request, reply) => {
  reply.hijack()
  statusCallbacks(request.raw, reply.raw)
}
app.all('/sms/twilio/status', { onRequest }, () => undefined)

app.post('/messages', async (request, reply) => {
  const { to, body } = request.body as { to: string; body: string }
  return reply.code(201).send(await sender.send({ userId: 1, to, body }))
})

app.addHook('onClose', async () => {
  await Promise.all([worker.stop(), sender.close(), statusCallbacks.close()])
})

await app.listen({ port: Number(process.env['PORT'] ?? 3000) })

process.once('SIGTERM', () => app.close())
