// The sender that app code shares: the use cases of send-message.ts with the connections that they need.
import pLimit from 'p-limit'
import { type CallerTransaction, dbOfCaller } from '../postgres/pool.ts'
import { Instance } from './instance.ts'
import type { MessageInput } from '../messages/message-input.ts'
import { recordingOf, type Runtime, startRuntimeQueue } from './runtime.ts'
import { type EnqueueResult, enqueueMessage, type SendResult, sendMessage } from '../messages/send-message.ts'
import { createTwilioClient } from '../twilio/client.ts'

export interface Sender {
  /**
   * Records the message, submits it to Twilio at once, and records the answer. A failed delivery is a result,
   * not an exception; the retries that its error code allows are made by the worker. At most `sendConcurrency` sends
   * are under way at once; others wait their turn.
   *
   * @throws InvalidMessageError for input that cannot be sent: nothing was written, nothing submitted
   * @throws IdempotencyKeyReusedError (one of the former) if the key belongs to another message
   * @throws DatabaseError if the database failed before the request: nothing was submitted. Its `written` is `no`: send
   *   again; or, rarely, `unknown`: a worker sends the message if it was recorded, and sending again is safe with the
   *   same `idempotencyKey`
   * @example
   * const { id, status } = await sender.send({ userId: 7, to: '+15551234567', body: 'Your order has shipped' })
   */
  send(message: MessageInput): Promise<SendResult>
  /**
   * Adds the message in the caller's own transaction: once it commits, a worker submits the message; if it rolls
   * back, nothing was ever there. Makes no request itself.
   *
   * @param options.db a pg client inside a transaction, or pg-boss's adapter of a Knex, Kysely, Drizzle or
   *   Prisma transaction (anything with `executeSql(text, values)`)
   * @returns the row's id, and whether it was created: not if the idempotency key was known
   * @throws InvalidMessageError for input that cannot be sent: nothing was written, the transaction can go on
   * @throws IdempotencyKeyReusedError (one of the former) if the key belongs to another message
   * @throws the error of the caller's own driver or ORM if a statement fails: the transaction can only be rolled back
   * @example
   * await client.query('begin')
   * await sender.enqueue({ userId: 7, to: '+15551234567', body: 'Thank you' }, { db: client })
   * await client.query('commit')
   */
  enqueue(message: MessageInput, options: { readonly db: CallerTransaction }): Promise<EnqueueResult>
  /**
   * Waits for the sends under way, those that wait their turn included, then closes the database connections. A request
   * to Twilio takes 10 seconds at the most.
   *
   * @example
   * process.once('SIGTERM', () => void sender.close())
   */
  close(): Promise<void>
}

const STOP_TIMEOUT_MS = 5_000

/** Takes the runtime over: closes its database if it cannot start, and when the sender is closed. */
export async function openSender(runtime: Runtime): Promise<Sender> {
  const { config, database, policy } = runtime
  const queue = await startRuntimeQueue(runtime, 'schedule')
  const twilio = createTwilioClient(config.twilio, config.publicBaseUrl)
  const deps = { ...recordingOf(runtime, queue), twilio }
  const instance = new Instance(runtime, 'sender')
  await instance.start()
  const underWay = new Set<Promise<unknown>>()
  // Before the row is written: a request that waited for a connection would run into its time-out, and be in doubt
  // without ever having been made.
  const inTurn = pLimit(config.twilio.concurrency)
  return {
    send(message) {
      const sending = inTurn(() => sendMessage(deps, message)).finally(() => underWay.delete(sending))
      underWay.add(sending)
      return sending
    },
    enqueue: (message, { db }) => enqueueMessage({ queue, policy }, dbOfCaller(db), message),
    async close() {
      await Promise.allSettled(underWay)
      await queue.stop(STOP_TIMEOUT_MS)
      await instance.stop()
      await database.close()
    },
  }
}
