// What a user writes in TypeScript, compiled against the declarations in the tarball. Sends one message.
import { createServer } from 'node:http'
import express, { type Express } from 'express'
import {
  type CallerTransaction,
  type CancelResult,
  ConfigError,
  createApp,
  createSender,
  createStatusCallbackHandler,
  type DeliveryStatus,
  type FinalStatus,
  type MessageInput,
  type MessageView,
  type Options,
  RefusedRowError,
  type SendResult,
  type SendStatus,
  startWorker,
  statusCallbackRouter,
} from 'sms-retry'

const options: Options = { retryPolicy: { codes: { 30003: { retries: 1, baseDelaySeconds: 60 } } } }
const message: MessageInput = { userId: 7, to: '+12065550199', body: 'Your order has shipped' }
const sender = await createSender(options)
const { status }: SendResult = await sender.send(message)
await sender.close()
console.log(status)

/** Only compiled: each status has its own fields. */
export function describeResult(result: SendResult): string {
  // @ts-expect-error: only an accepted message surely has a sid
  result.sid.toUpperCase()
  // @ts-expect-error: only a failed message surely has a reason
  result.reason.toUpperCase()
  switch (result.status) {
    case 'accepted':
      return result.sid
    case 'retry_scheduled':
      return result.nextRetryAt.toISOString()
    case 'failed':
      return `${result.errorCode?.toFixed(0)} ${result.reason}`
    case 'in_doubt':
      return 'in doubt'
    // Without a default: a status that is left out would not compile.
  }
}

export const FINAL: Record<FinalStatus, boolean> = {
  delivered: true,
  read: true,
  undelivered: false,
  failed: false,
  canceled: false,
  expired: false,
}

/** Only compiled. */
export async function actsOnMessages(db: CallerTransaction): Promise<SendStatus | DeliveryStatus | null> {
  const view: MessageView | null = await sender.get({ id: 1 })
  if (view !== null)
    console.log(view.attempts[0]?.errorCode?.toFixed(0), view.createdAt.getTime(), view.metadata['order'])
  const canceled: CancelResult = await sender.cancel(
    { idempotencyKey: 'order-1' },
    { db, reason: 'Withdrawn' },
  )
  if (canceled.canceled) canceled.status satisfies 'canceled'
  const results = await sender.enqueueMany([message, { to: '+12065550199', body: 'Hello' }], { db })
  for (const { id, created } of results) console.log(id.toFixed(0), created)
  for (const userId of [7, 7n, 'seven', null, undefined]) await sender.send({ ...message, userId })
  // @ts-expect-error: a message is named in one way
  await sender.get(1)
  // @ts-expect-error: many messages are enqueued in a transaction
  await sender.enqueueMany([message])
  // @ts-expect-error: a user is no object
  await sender.send({ ...message, userId: {} })
  try {
    return (await sender.send(message)).status
  } catch (error) {
    if (error instanceof RefusedRowError) console.log(error.code satisfies 'REFUSED_ROW', error.constraint)
    return canceled.status
  }
}

/** Only compiled. What is not expected to compile would, if a type were lost on the way and had become `any`. */
export async function alsoWrites(db: CallerTransaction): Promise<Express> {
  const { id, created } = await sender.enqueue(message, { db })
  if (created) console.log(id.toFixed(0))
  const router = statusCallbackRouter(options)
  createServer(router)
  const handle = createStatusCallbackHandler(options)
  const { ok }: Response = await handle(new Request('https://shop.example.com/twilio/status'))
  console.log(ok)
  const app = express().use('/sms', router)
  app.use(createApp().disable('etag'))
  const worker = await startWorker()
  await Promise.all([worker.stop(), router.close(), handle.close()])
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
