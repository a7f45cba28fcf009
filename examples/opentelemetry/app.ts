// Sends one message, prints its spans on the console, and ends with its outcome. docs/tracing.md explains the spans.
//
//   TO=+15553000301 node examples/opentelemetry/app.ts
//
// The settings are those of examples/order-confirmation. This number cannot be reached at the first attempt.
import { trace } from '@opentelemetry/api'
import { ConsoleSpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import { createApp, createSender, startWorker } from 'sms-retry'

// In your app, an exporter for your tracing backend. sms-retry finds the registered provider.
const provider = new NodeTracerProvider({
  spanProcessors: [new SimpleSpanProcessor(new ConsoleSpanExporter())],
})
provider.register()

const options = { outcomeEvents: true }
const app = createApp(options)
const server = app.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1')
const sender = await createSender(options)
const { promise: hasOutcome, resolve } = Promise.withResolvers<void>()
const worker = await startWorker({ ...options, onOutcome: () => resolve() })

await trace.getTracer('shop').startActiveSpan('checkout', async (span) => {
  await sender.send({ userId: 7, to: process.env['TO'] ?? '+12065550199', body: 'Thank you for your order' })
  span.end()
})

await hasOutcome
await Promise.all([worker.stop(), sender.close()])
await new Promise((resolveClosed) => server.close(resolveClosed))
await app.close()
await provider.shutdown()
