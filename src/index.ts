// The public API. Importing it starts nothing; each function starts what it says, and has a way to stop it. Sender and
// worker are loaded when they are first asked for: an app that only mounts the endpoint need not pay for them.
import type { Express, Router } from 'express'
import { type Closable, createHttpApp, createStatusCallbackRouter } from './http/app.ts'
import { type Options, openRuntime } from './processes/runtime.ts'
import type { Sender } from './processes/sender.ts'
import type { RunningWorker } from './processes/worker.ts'

export type { CallerTransaction } from './postgres/pool.ts'
export type { RetryPolicyOverrides } from './delivery/policy-overrides.ts'
export {
  ConfigError,
  DatabaseError,
  IdempotencyKeyReusedError,
  InvalidMessageError,
  SchemaError,
  SmsRetryError,
} from './shared/errors.ts'
export type { Closable } from './http/app.ts'
export type { Logger } from './shared/log.ts'
export type { MessageInput } from './messages/message-input.ts'
export type { Options, TwilioOptions } from './processes/runtime.ts'
export type { EnqueueResult, SendResult } from './messages/send-message.ts'
export type { Sender } from './processes/sender.ts'
export type { RunningWorker } from './processes/worker.ts'

const ENDPOINT_REQUIREMENTS = [
  'DATABASE_URL',
  'PUBLIC_BASE_URL',
  'TWILIO_ACCOUNT_SID',
  'TWILIO_AUTH_TOKEN',
] as const

/**
 * Opens the one sender that app code shares: create it once per process, and close it when the process ends. Options
 * that are left out come from the environment.
 *
 * @throws ConfigError if options or environment are incomplete or wrong; it names every fault
 * @throws DatabaseError if the database cannot be reached
 * @throws SchemaError if `sms-retry migrate` has not been run
 * @example
 * const sender = await createSender({ publicBaseUrl: 'https://sms.example.com' })
 * const { id, status } = await sender.send({ userId: 7, to: '+15551234567', body: 'Your order has shipped' })
 * await sender.close()
 */
export async function createSender(options: Options = {}): Promise<Sender> {
  const { openSender } = await import('./processes/sender.ts')
  return openSender(openRuntime(options, process.env, [...ENDPOINT_REQUIREMENTS, 'sender']))
}

/**
 * Creates the Express app of the web process: `POST /twilio/status`, `GET /healthz`, `GET /readyz`, `GET /metrics` if
 * it has a token, and the dashboard if it has credentials. It does not listen by itself, and makes no attempt. The
 * database is connected on first use, so that the app starts while it is away; until it is back, Twilio is answered
 * 503, and sends again.
 *
 * @throws ConfigError if options or environment are incomplete or wrong; it names every fault
 * @example
 * const app = createApp()
 * const server = app.listen(3000)
 * // at the end:
 * server.close(() => app.close())
 */
export function createApp(options: Options = {}): Express & Closable {
  return createHttpApp(openRuntime(options, process.env, ENDPOINT_REQUIREMENTS))
}

/**
 * Creates the status callback endpoint alone, `POST /twilio/status`, for an Express 5 app that you already have. It
 * parses its own body, so mount it before body parsers. Behind `express.json()` and `express.urlencoded()` it works as
 * well; a parser that makes a text or bytes of the form must come after it, or every callback is refused with 403.
 * `publicBaseUrl` is where Twilio reaches the mount point, with the prefix that a proxy takes away: neither Host nor
 * X-Forwarded headers are looked at.
 *
 * @throws ConfigError if options or environment are incomplete or wrong; it names every fault
 * @example
 * const router = statusCallbackRouter({ publicBaseUrl: 'https://shop.example.com/sms' })
 * app.use('/sms', router)
 * // at the end:
 * server.close(() => router.close())
 */
export function statusCallbackRouter(options: Options = {}): Router & Closable {
  return createStatusCallbackRouter(openRuntime(options, process.env, ENDPOINT_REQUIREMENTS))
}

/**
 * Starts making the attempts that are due, in this process: those of enqueued messages, and the retries. Any number of
 * workers can share one database. A failure after the start does not end it: it is logged, and tried again.
 *
 * @throws ConfigError if options or environment are incomplete or wrong; it names every fault
 * @throws DatabaseError if the database cannot be reached
 * @throws SchemaError if `sms-retry migrate` has not been run
 * @example
 * const worker = await startWorker()
 * process.once('SIGTERM', () => void worker.stop())
 */
export async function startWorker(options: Options = {}): Promise<RunningWorker> {
  const { runWorker } = await import('./processes/worker.ts')
  return runWorker(openRuntime(options, process.env, [...ENDPOINT_REQUIREMENTS, 'sender']))
}
