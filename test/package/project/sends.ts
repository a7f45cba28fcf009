// What a user writes in TypeScript, compiled against the declarations in the tarball. Sends one message.
import express, { type Express } from 'express'
import {
  type CallerTransaction,
  ConfigError,
  createApp,
  createSender,
  type MessageInput,
  type Options,
  type SendResult,
  startWorker,
  statusCallbackRouter,
} from 'sms-retry'

const options: Options = { retryPolicy: { codes: { 30003: { retries: 1, baseDelaySeconds: 60 } } } }
const message: MessageInput = { userId: 7, to: '+12065550199', body: 'Your order has shipped' }
const sender = await createSender(options)
const { status }: SendResult = await sender.send(message)
await sender.close()
console.log(status)

/** Only compiled. What is not expected to compile would, if a type were lost on the way and had become `any`. */
export async function alsoWrites(db: CallerTransaction): Promise<Express> {
  const { id, created } = await sender.enqueue(message, { db })
  if (created) console.log(id.toFixed(0))
  const router = statusCallbackRouter(options)
  const app = express().use('/sms', router)
  app.use(createApp().disable('etag'))
  const worker = await startWorker()
  await Promise.all([worker.stop(), router.close()])
  // @ts-expect-error: a message has a text
  await sender.send({ userId: 7, to: '+12065550199' })
  // @ts-expect-error: this is no transaction
  await sender.enqueue(message, { db: {} })
  // @ts-expect-error: there is no such option
  createApp({ databaseURL: 'postgres://localhost/app' })
  // @ts-expect-error: an Express app has no such property
  createApp().nothing()
  // @ts-expect-error: a router has no such property
  router.nothing()
  // @ts-expect-error: a pg client's query takes a text
  if ('query' in db) await db.query(1)
  if (options instanceof ConfigError) console.log(options.code satisfies 'CONFIG')
  return app
}
