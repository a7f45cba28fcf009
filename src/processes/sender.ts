// The sender that app code shares: the use cases of messages/, with the connections they need.
import pLimit from 'p-limit'
import { type CallerTransaction, dbOfCaller } from '../postgres/pool.ts'
import { readUserIdColumn } from '../db/user-id-column.ts'
import { type CancelResult, cancelMessage } from '../messages/cancel-message.ts'
import { type EnqueueResult, enqueueMessage, enqueueMessages } from '../messages/enqueue-messages.ts'
import type { MessageInput } from '../messages/message-input.ts'
import type { MessageRef } from '../messages/message-ref.ts'
import { getMessage, type MessageView } from '../messages/message-view.ts'
import { openRecording } from './open-recording.ts'
import type { Runtime } from './runtime.ts'
import { type SendResult, sendMessage } from '../messages/send-message.ts'
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
   * @throws RefusedRowError if the database refuses the row, such as for a foreign key. Nothing was written or submitted;
   *   sending again fails as well.
   * @throws DatabaseError if the database failed before the request to Twilio. Nothing was submitted. If `written` is
   *   `no`, send again. If it is `unknown`, the message may have been recorded, and a worker would then send it; sending
   *   again is safe only with the same `idempotencyKey`.
   * @example
   * const result = await sender.send({ userId: 7, to: '+12065550199', body: 'Your order has shipped' })
   * if (result.status === 'failed') console.log(result.id, result.errorCode)
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
   * @throws RefusedRowError if a trigger discards or changes the row. The transaction must be rolled back.
   * @throws the error of your driver or ORM if a statement fails, such as for a foreign key. The transaction must be
   *   rolled back.
   * @example
   * await client.query('begin')
   * await sender.enqueue({ userId: 7, to: '+12065550199', body: 'Thank you' }, { db: client })
   * await client.query('commit')
   */
  enqueue(message: MessageInput, options: { readonly db: CallerTransaction }): Promise<EnqueueResult>
  /**
   * Like `enqueue` for many messages, in a few statements: 10,000 take two to three seconds. All messages are checked before
   * anything is written. Messages of this call that share an idempotency key are added once.
   *
   * @param options.db as for `enqueue`
   * @returns the results of `enqueue`, in the order of the messages
   * @throws InvalidMessageError if any message is invalid; its `indexes` has the position of each. Nothing was written; the
   *   transaction can continue.
   * @throws IdempotencyKeyReusedError (a subclass) if another message has an idempotency key. Nothing was written, unless
   *   another transaction added this key during the call: roll back.
   * @throws RefusedRowError, and the error of your driver or ORM, as for `enqueue`
   * @example
   * const customers = [{ id: 7, phone: '+12065550199' }]
   * const messages = customers.map(({ id, phone }) => ({
   *   userId: id, to: phone, body: 'We open at 9', idempotencyKey: `opening-${id}`,
   * }))
   * await client.query('begin')
   * const results = await sender.enqueueMany(messages, { db: client })
   * await client.query('commit')
   */
  enqueueMany(
    messages: readonly MessageInput[],
    options: { readonly db: CallerTransaction },
  ): Promise<EnqueueResult[]>
  /**
   * Reads a message.
   *
   * @param message `{ id }` or `{ idempotencyKey }`
   * @returns its row, with the attempts and your own metadata. Null if there is no such message, or sms-retry does not
   *   manage the row
   * @throws InvalidMessageError if the argument has neither form
   * @throws DatabaseError if the database failed
   * @example
   * const message = await sender.get({ idempotencyKey: 'order-1001' })
   * if (message?.status === 'undelivered') console.log(message.id, message.attempts.at(-1)?.errorCode)
   */
  get(message: MessageRef): Promise<MessageView | null>
  /**
   * Cancels a message that waits for an attempt. A message that was submitted cannot be canceled: Twilio may have sent it.
   * If a worker claims the attempt at the same time, one of them is first, and the result tells which.
   *
   * A message that is canceled already stays as it is, with its first reason, and the result is the same.
   *
   * @param message `{ id }` or `{ idempotencyKey }`
   * @param options.db your own transaction, as for `enqueue`. The message is canceled when you commit; until then, no worker
   *   can claim it. Without `db`, it is canceled when the promise resolves
   * @param options.reason why, in one line of at most 200 characters: stored as the reason of the message
   * @returns `{ canceled: true, status: 'canceled' }`, or `canceled: false` with the status that the message has:
   *   `submitting` if a worker was first, null if there is no such message
   * @throws InvalidMessageError if an argument is invalid. Nothing was changed.
   * @throws RefusedRowError if your database refuses or discards the change, such as by a trigger.
   * @throws DatabaseError without `db`, if the database failed. Cancel again.
   * @throws the error of your driver or ORM with `db`, if a statement fails. The transaction must be rolled back.
   * @example
   * const { canceled, status } = await sender.cancel({ idempotencyKey: 'order-1001' }, { reason: 'Order withdrawn' })
   * if (!canceled) console.log(`too late: ${status}`)
   */
  cancel(
    message: MessageRef,
    options?: { readonly db?: CallerTransaction | undefined; readonly reason?: string | undefined },
  ): Promise<CancelResult>
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
  const userIdColumn = await readUserIdColumn(runtime.database).catch(async (error: unknown) => {
    await recording.close()
    throw error
  })
  const deps = { ...recording.deps, twilio, userIdColumn }
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
    // All are async: a wrong argument rejects, and does not throw past the caller's `catch`.
    enqueue: async (message, { db }) => enqueueMessage(deps, dbOfCaller(db), message),
    enqueueMany: async (messages, { db }) => enqueueMessages(deps, dbOfCaller(db), messages),
    get: async (message) => getMessage(deps.database, message),
    cancel: async (message, { db, reason } = {}) =>
      cancelMessage(deps, message, { db: db === undefined ? undefined : dbOfCaller(db), reason }),
    async close() {
      isClosed = true
      await Promise.allSettled(underWay)
      await recording.close()
    },
  }
}

const CLOSED = 'Nothing was submitted, and the message was not recorded: the sender is closed'
