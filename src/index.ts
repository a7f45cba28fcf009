// The public API of sms-retry. A first hour with it:
//
// 1. Run `sms-retry migrate` once. It creates the table `sms_usage_logs` and the queue in your database.
// 2. In your app, create one sender and send through it:
//
//      const sender = await createSender()
//      await sender.send({ userId: 7, to: '+12065550199', body: 'Your order has shipped' })
//
// 3. Serve the endpoint for Twilio's status callbacks: mount `statusCallbackRouter()` or `createStatusCallbackHandler()` into
//    your app, serve `createApp()`, or run the command `sms-retry web`. Twilio reports delivery failures there.
// 4. Run a worker, which makes the retries: `startWorker()` or the command `sms-retry worker`.
//
// All functions take the same options; an option that is left out is read from the environment (see docs/configuration.md).
// Importing this module starts nothing. Sender and worker are loaded on first use, so an app that only mounts the endpoint
// does not load them.
import type { Express } from 'express'
import { type Closable, createFetchHandler, createHttpApp, createStatusCallbackRouter } from './http/app.ts'
import type { StatusCallbackHandler } from './http/status-callback-handler.ts'
import type { StatusCallbackRouter } from './http/status-callback-listener.ts'
import { ConfigError } from './shared/errors.ts'
import {
  ENDPOINT_REQUIREMENTS,
  type Options,
  openRuntime,
  SENDING_REQUIREMENTS,
} from './processes/runtime.ts'
import type { Sender } from './processes/sender.ts'
import type { RunningWorker, WorkerOptions } from './processes/worker.ts'

export type { CallerTransaction } from './postgres/pool.ts'
export type { RetryPolicyOverrides } from './delivery/policy-overrides.ts'
export {
  ConfigError,
  DatabaseError,
  IdempotencyKeyReusedError,
  InvalidMessageError,
  RefusedRowError,
  SchemaError,
  SmsRetryError,
} from './shared/errors.ts'
export type { Closable } from './http/app.ts'
export type { StatusCallbackHandler } from './http/status-callback-handler.ts'
export type { StatusCallbackRouter } from './http/status-callback-listener.ts'
export type { SendWindow } from './delivery/send-window.ts'
export type { AppLogger, PinoLogger } from './shared/adapt-logger.ts'
export type { Logger } from './shared/log.ts'
export type { MessageInput } from './messages/message-input.ts'
export type { Options, TwilioOptions } from './processes/runtime.ts'
export type { AttemptStatus, DeliveryStatus, FinalStatus } from './delivery/status.ts'
export type { CancelResult } from './messages/cancel-message.ts'
export type { EnqueueResult } from './messages/enqueue-messages.ts'
export type { MessageRef } from './messages/message-ref.ts'
export type { AttemptView, MessageView } from './messages/message-view.ts'
export type {
  AcceptedResult,
  FailedResult,
  InDoubtResult,
  RetryScheduledResult,
  SendResult,
  SendStatus,
} from './messages/send-message.ts'
export type { Sender } from './processes/sender.ts'
export type { Outcome } from './outcomes/outcome-event.ts'
export type { RunningWorker, WorkerOptions } from './processes/worker.ts'

/**
 * Creates the sender that the whole process shares. Create it once, and close it when the process ends.
 *
 * @throws ConfigError if options or environment are incomplete or invalid; it names every fault
 * @throws DatabaseError if the database cannot be reached
 * @throws SchemaError if `sms-retry migrate` has not been run
 * @example
 * const sender = await createSender({ publicBaseUrl: 'https://sms.example.com' })
 * const { id, status } = await sender.send({ userId: 7, to: '+12065550199', body: 'Your order has shipped' })
 * await sender.close()
 */
export async function createSender(options: Options = {}): Promise<Sender> {
  const { openSender } = await import('./processes/sender.ts')
  return openSender(openRuntime(options, process.env, SENDING_REQUIREMENTS))
}

/**
 * Creates the Express app of the web process, without listening: `POST /twilio/status`, `GET /healthz`, `GET /readyz`,
 * `GET /metrics` if a metrics token is set, and the dashboard if its credentials are set. It records status callbacks and
 * schedules retries, but never sends: a worker does.
 *
 * The app connects to the database on first use, so it starts while the database is unavailable. Until the database is
 * back, Twilio gets 503 and repeats the callback.
 *
 * @throws ConfigError if options or environment are incomplete or invalid; it names every fault
 * @example
 * const app = createApp()
 * const server = app.listen(3000)
 * // When the process ends:
 * server.close(() => app.close())
 */
export function createApp(options: Options = {}): Express & Closable {
  return createHttpApp(openRuntime(options, process.env, ENDPOINT_REQUIREMENTS))
}

/**
 * Creates only the status callback endpoint, `POST /twilio/status`, for your own app: as middleware for Express 4,
 * Express 5 and Nest, or as a listener for `node:http` and Fastify. docs/frameworks.md shows each.
 *
 * Mount it before body parsers. It also works after `express.json()` and `express.urlencoded()`. After a parser that turns
 * forms into text or bytes, it answers every callback with 403.
 *
 * Called without `next`, it answers every request as a callback: call it only for the path that you have chosen.
 *
 * `publicBaseUrl` is the address at which Twilio reaches the mount point, including a path prefix that your proxy removes.
 * Host and X-Forwarded headers are ignored.
 *
 * @throws ConfigError if options or environment are incomplete or invalid; it names every fault
 * @example
 * const router = statusCallbackRouter({ publicBaseUrl: 'https://shop.example.com/sms' })
 * app.use('/sms', router)
 * // When the process ends:
 * server.close(() => router.close())
 */
export function statusCallbackRouter(options: Options = {}): StatusCallbackRouter & Closable {
  return createStatusCallbackRouter(openRuntime(options, process.env, ENDPOINT_REQUIREMENTS))
}

/**
 * Creates the status callback endpoint for a framework whose routes take a `Request` and return a `Response`, such as
 * Next.js and Hono. It runs on Node.js, because it connects to PostgreSQL; an edge runtime cannot.
 *
 * Call it in the route of `publicBaseUrl` + `/twilio/status`. Of the request's URL, only the query counts, so a base path
 * or a rewrite does no harm. The body must be unread.
 *
 * @throws ConfigError if options or environment are incomplete or invalid; it names every fault
 * @example
 * const handleStatusCallback = createStatusCallbackHandler()
 * app.all('/twilio/status', (context) => handleStatusCallback(context.req.raw))
 * // When the process ends:
 * await handleStatusCallback.close()
 */
export function createStatusCallbackHandler(options: Options = {}): StatusCallbackHandler & Closable {
  return createFetchHandler(openRuntime(options, process.env, ENDPOINT_REQUIREMENTS))
}

/**
 * Starts a worker in this process. It sends enqueued messages and due retries, and looks up attempts in doubt at Twilio.
 * Any number of workers can share one database. After it has started, failures do not stop it: they are logged, and the
 * work is tried again.
 *
 * @throws ConfigError if options or environment are incomplete or invalid; it names every fault
 * @throws DatabaseError if the database cannot be reached
 * @throws SchemaError if `sms-retry migrate` has not been run
 * @example
 * const worker = await startWorker({
 *   outcomeEvents: true,
 *   onOutcome: async ({ id, type, metadata }) => {
 *     if (type === 'message.failed') await callCustomer(metadata, { idempotencyKey: id })
 *   },
 * })
 * process.once('SIGTERM', () => void worker.stop())
 */
export async function startWorker(options: WorkerOptions = {}): Promise<RunningWorker> {
  const { onOutcome } = options
  const runtime = openRuntime(options, process.env, SENDING_REQUIREMENTS)
  if (onOutcome !== undefined && !runtime.config.outcomes.isOn)
    throw new ConfigError('onOutcome needs outcomeEvents: true, or OUTCOME_EVENTS=true, in every process')
  const { runWorker } = await import('./processes/worker.ts')
  return runWorker(runtime, onOutcome)
}
