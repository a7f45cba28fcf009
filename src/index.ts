// The public API. Importing it starts nothing; each function starts what it says, and has a way to stop it. Sender and
// worker are loaded when they are first asked for: an app that only mounts the endpoint need not pay for them.
import type { Express, Router } from 'express'
import { type Closable, createHttpApp, createStatusCallbackRouter } from './http/app.ts'
import { type Options, openRuntime } from './runtime.ts'
import type { Sender } from './sender.ts'
import type { RunningWorker } from './worker.ts'

export type { CallerTransaction } from './db/pool.ts'
export type { RetryPolicyOverrides } from './delivery/retry-policy.ts'
export {
  ConfigError,
  DatabaseError,
  IdempotencyKeyReusedError,
  InvalidMessageError,
  SchemaError,
  SmsRetryError,
} from './errors.ts'
export type { Closable } from './http/app.ts'
export type { Logger } from './log.ts'
export type { MessageInput } from './message-input.ts'
export type { Options, TwilioOptions } from './runtime.ts'
export type { EnqueueResult, SendResult } from './send-message.ts'
export type { Sender } from './sender.ts'
export type { RunningWorker } from './worker.ts'

const ENDPOINT_REQUIREMENTS = [
  'DATABASE_URL',
  'PUBLIC_BASE_URL',
  'TWILIO_ACCOUNT_SID',
  'TWILIO_AUTH_TOKEN',
] as const

/**
 * The one sender that app code shares. Create it once per process.
 *
 * @throws ConfigError if options or environment are incomplete, DatabaseError if the database cannot be
 *   reached, SchemaError if `sms-retry migrate` has not been run
 */
export async function createSender(options: Options = {}): Promise<Sender> {
  const { openSender } = await import('./sender.ts')
  return openSender(openRuntime(options, process.env, [...ENDPOINT_REQUIREMENTS, 'sender']))
}

/**
 * The Express app of the web process: `POST /twilio/status`, `GET /healthz`, `GET /readyz`, and `GET /metrics` if
 * METRICS_TOKEN is set. The database is
 * connected on first use, so that the app starts while it is away.
 *
 * @throws ConfigError if options or environment are incomplete
 */
export function createApp(options: Options = {}): Express & Closable {
  return createHttpApp(openRuntime(options, process.env, ENDPOINT_REQUIREMENTS))
}

/**
 * The status callback endpoint alone, for an Express 5 app that you already have. It parses its own body, so
 * mount it before body parsers. `publicBaseUrl` is where Twilio reaches the mount point.
 *
 * @throws ConfigError if options or environment are incomplete
 * @example
 * app.use('/sms', statusCallbackRouter({ publicBaseUrl: 'https://shop.example.com/sms' }))
 */
export function statusCallbackRouter(options: Options = {}): Router & Closable {
  return createStatusCallbackRouter(openRuntime(options, process.env, ENDPOINT_REQUIREMENTS))
}

/**
 * Starts making the attempts that are due, in this process. Any number of workers can share one database.
 *
 * @throws ConfigError if options or environment are incomplete, DatabaseError if the database cannot be
 *   reached, SchemaError if `sms-retry migrate` has not been run
 */
export async function startWorker(options: Options = {}): Promise<RunningWorker> {
  const { runWorker } = await import('./worker.ts')
  return runWorker(openRuntime(options, process.env, [...ENDPOINT_REQUIREMENTS, 'sender']))
}
