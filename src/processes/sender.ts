// The sender that app code shares: the use cases of messages/send-message.ts, with the connections they need.
import pLimit from 'p-limit'
import { type CallerTransaction, dbOfCaller } from '../postgres/pool.ts'
import type { MessageInput } from '../messages/message-input.ts'
import { openRecording } from './open-recording.ts'
import type { Runtime } from './runtime.ts'
import { type EnqueueResult, enqueueMessage, type SendResult, sendMessage } from '../messages/send-message.ts'
import { DatabaseError } from '../shared/errors.ts'
import { createTwilioClient } from '../twilio/client.ts'

export interface Sender {
  /**
   * Records the message, submits it to Twilio, and records the answer. A failed delivery is a result, not an exception:
   * the worker makes the retries that its error code allows. At most `sendConcurrency` sends run concurrently; further
   * calls wait.
   *
   * Outside its send window, and before `sendAfter`, the message is only recorded, and a worker submits it later.
   *
   * Sending again with the same `idempotencyKey` returns the first message and submits nothing.
   *
   * @throws InvalidMessageError if the message is invalid. Nothing was written or submitted.
   * @throws IdempotencyKeyReusedError (a subclass) if another message has this idempotency key. Nothing was written or
   *   submitted.
   * @throws DatabaseError if the database failed before the request to Twilio. Nothing was submitted. If `written` is
   *   `no`, send again. If it is `unknown`, the message may have been recorded, and a worker would then send it; sending
   *   again is safe only with the same `idempotencyKey`.
   * @example
   * const { id, status } = await sender.send({ userId: 7, to: '+12065550199', body: 'Your order has shipped' })
   */
  send(message: MessageInput): Promise<SendResult>
  /**
   * Adds the message in your own transaction. After the commit, a worker submits it; after a rollback, nothing remains.
   * Makes no request to Twilio itself.
   *
   * @param options.db a pg client inside a transaction, or pg-boss's adapter for a Knex, Kysely, Drizzle or Prisma
   *   transaction (any object with `executeSql(text, values)`)
   * @returns the row's id, and `created`: false if a message with this idempotency key exists already
   * @throws InvalidMessageError if the message is invalid. Nothing was written; the transaction can continue.
   * @throws IdempotencyKeyReusedError (a subclass) if another message has this idempotency key. The transaction can
   *   continue.
   * @throws the error of your driver or ORM if a statement fails. The transaction must be rolled back.
   * @example
   * await client.query('begin')
   * await sender.enqueue({ userId: 7, to: '+12065550199', body: 'Thank you' }, { db: client })
   * await client.query('commit')
   */
  enqueue(message: MessageInput, options: { readonly db: CallerTransaction }): Promise<EnqueueResult>
  /**
   * Waits for all sends that were started, then closes the database connections. A request to Twilio takes at most
   * 10 seconds. From then on, `send` throws a DatabaseError: its answer could no longer be recorded.
   *
   * @example
   * process.once('SIGTERM', () => void sender.close())
   */
  close(): Promise<void>
}

/** Takes ownership of the runtime: closes its database on `close()`, or if the start fails. */
export async function openSender(runtime: Runtime): Promise<Sender> {
  const { config } = runtime
  const recording = await openRecording(runtime)
  const twilio = createTwilioClient(config.twilio, config.publicBaseUrl)
  const deps = { ...recording.deps, twilio }
  const underWay = new Set<Promise<unknown>>()
  // Sends wait here, before the row is written. A request that waits for a connection instead may time out, and be in
  // doubt although it was never made.
  const limit = pLimit(config.twilio.concurrency)
  let isClosed = false
  return {
    async send(message) {
      if (isClosed) throw new DatabaseError(CLOSED)
      const sending = limit(() => sendMessage(deps, message)).finally(() => underWay.delete(sending))
      underWay.add(sending)
      return sending
    },
    enqueue: (message, { db }) => enqueueMessage(deps, dbOfCaller(db), message),
    async close() {
      isClosed = true
      await Promise.allSettled(underWay)
      await recording.close()
    },
  }
}

const CLOSED = 'Nothing was submitted, and the message was not recorded: the sender is closed'
