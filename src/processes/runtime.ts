// Opens the parts that sender, web process and worker share: configuration (from options and environment), database,
// queue, retry policy, metrics and log.
import { type Config, type Env, parseConfig, type Requirement } from '../config/config.ts'
import { requireCurrentTable, requireOwnTable } from '../db/bookkeeping.ts'
import { type Database, openDatabase } from '../postgres/pool.ts'
import type { Circumstances } from '../delivery/decision.ts'
import type { RetryPolicyOverrides } from '../delivery/policy-overrides.ts'
import { createRetryPolicy, type RetryPolicy } from '../delivery/retry-policy.ts'
import { formatSendWindow, type SendWindow } from '../delivery/send-window.ts'
import { type AppLogger, adaptLogger } from '../shared/adapt-logger.ts'
import { ConfigError } from '../shared/errors.ts'
import { EventRecorder, type RecordingDeps } from '../recording/event-recorder.ts'
import { circumstancesOf } from './circumstances.ts'
import type { Instance } from './instance.ts'
import { describeInvisible, describeUnusual } from '../shared/hidden-characters.ts'
import { createLogger, errorFields, type Logger } from '../shared/log.ts'
import { Metrics } from '../metrics/metrics.ts'
import { type Queue, startQueue } from '../jobs/queue.ts'
import { RefusedRows } from '../recording/refused-rows.ts'
import { describeLine, readTextFile } from '../shared/text-file.ts'
import { loadTracing } from '../shared/tracing.ts'

export const ENDPOINT_REQUIREMENTS = [
  'DATABASE_URL',
  'PUBLIC_BASE_URL',
  'TWILIO_ACCOUNT_SID',
  'TWILIO_AUTH_TOKEN',
] as const satisfies readonly Requirement[]
export const SENDING_REQUIREMENTS = [...ENDPOINT_REQUIREMENTS, 'sender'] as const

export interface TwilioOptions {
  readonly accountSid?: string
  /** The account's primary auth token. Pass several while you rotate it; requests use the first. */
  readonly authToken?: string | readonly string[]
  /** Sender phone number in E.164 format. Set either this or `messagingServiceSid`. */
  readonly from?: string
  readonly messagingServiceSid?: string
  /** An API key for requests to Twilio, instead of the auth token. Callbacks are still verified with the auth token. */
  readonly apiKeySid?: string
  readonly apiKeySecret?: string
  /** Address of the simulator. Default: Twilio. */
  readonly apiBaseUrl?: string
}

/** An option that is left out is read from the environment. docs/configuration.md lists the variables. */
export interface Options {
  /** For example postgres://user:password@localhost:5432/app. */
  readonly databaseUrl?: string
  readonly twilio?: TwilioOptions
  /** Public address of the app that serves the status callback endpoint, for example https://sms.example.com. */
  readonly publicBaseUrl?: string
  /** Overrides the rules of some error codes, or the default rule. RETRY_POLICY_FILE is then ignored. */
  readonly retryPolicy?: RetryPolicyOverrides
  /** Multiplies all retry delays and all waiting times before a lookup at Twilio; 0.001 to 1000. Default: 1. */
  readonly retryDelayScale?: number
  /** Attempts per second, for all workers together; 0.1 to 1000. Default: unlimited. */
  readonly sendRatePerSecond?: number
  /** Hours of the day in which messages may be sent. Default: always. */
  readonly sendWindow?: SendWindow
  /** The time zone of the send window: `recipient`, the default, or an IANA name. */
  readonly sendWindowTimeZone?: string
  /** The IANA time zone of numbers whose own time zone is not known. Required with `sendWindow` in recipients' time zones. */
  readonly sendWindowFallbackTimeZone?: string
  /** Send only to these numbers, or prefixes that end in `*`; at least one. Default: everybody. */
  readonly recipientAllowlist?: readonly string[]
  /**
   * Record what each message came to, so that a worker tells the app (see `WorkerOptions.onOutcome`). Every process needs
   * the same setting. Default: false.
   */
  readonly outcomeEvents?: boolean
  /** Concurrent requests to Twilio from this process; 1 to 1000. Default: 100. */
  readonly sendConcurrency?: number
  /** The dashboard of `createApp`. It is off unless both username and password are set. */
  readonly dashboard?: {
    readonly username?: string
    readonly password?: string
    /** Show full phone numbers and texts. Default: only the last digits of a number. */
    readonly showContent?: boolean
  }
  /**
   * The logger of your app: winston, pino, Fastify's `app.log`, or `console`, which prints down to LOG_LEVEL. Another logger
   * needs the functions `error`, `warn`, `info` and `debug`, called with message and fields. Phone numbers are masked.
   * Default: a winston logger, configured by LOG_LEVEL and LOG_FORMAT.
   */
  readonly logger?: AppLogger
}

export interface Runtime {
  readonly config: Config
  readonly database: Database
  readonly policy: RetryPolicy
  readonly circumstances: Circumstances
  readonly logger: Logger
  readonly metrics: Metrics
}

/** @throws ConfigError if options or environment are incomplete or invalid; it names every fault */
export function openRuntime(
  options: Options & OutcomeOptions,
  env: Env,
  required: readonly Requirement[],
): Runtime {
  const config = parseConfig(withOptions(env, options), required)
  const policy = createRetryPolicy(
    options.retryPolicy ?? readPolicyFile(config.retryPolicyFile),
    config.retryDelayScale,
  )
  const { logLevel, logFormat } = config
  const logger =
    options.logger === undefined
      ? createLogger({ level: logLevel, format: logFormat })
      : adaptLogger(options.logger, logLevel)
  const database = openDatabase(config.database, (message, error) => logger.warn(message, errorFields(error)))
  const metrics = new Metrics(policy, () => database.connections())
  return { config, database, policy, circumstances: circumstancesOf(config), logger, metrics }
}

/** The options of `startWorker` that are settings. */
interface OutcomeOptions {
  readonly outcomeConcurrency?: number
  readonly outcomeBatchSize?: number
}

function withOptions(env: Env, options: Options & OutcomeOptions): Env {
  const {
    databaseUrl,
    publicBaseUrl,
    retryDelayScale,
    sendRatePerSecond,
    sendConcurrency,
    sendWindow,
    recipientAllowlist,
    twilio = {},
    dashboard = {},
  } = options
  const { authToken, from, messagingServiceSid } = twilio
  // A sender in the options replaces either kind of sender in the environment.
  const sender =
    from === undefined && messagingServiceSid === undefined
      ? {}
      : { TWILIO_FROM_NUMBER: from, TWILIO_MESSAGING_SERVICE_SID: messagingServiceSid }
  const overlay: Env = {
    DATABASE_URL: databaseUrl,
    PUBLIC_BASE_URL: publicBaseUrl,
    RETRY_DELAY_SCALE: retryDelayScale?.toString(),
    SEND_RATE_PER_SECOND: sendRatePerSecond?.toString(),
    SEND_CONCURRENCY: sendConcurrency?.toString(),
    SEND_WINDOW: sendWindow === undefined ? undefined : formatSendWindow(sendWindow),
    SEND_WINDOW_TIME_ZONE: options.sendWindowTimeZone,
    SEND_WINDOW_FALLBACK_TIME_ZONE: options.sendWindowFallbackTimeZone,
    OUTCOME_EVENTS: options.outcomeEvents?.toString(),
    OUTCOME_CONCURRENCY: options.outcomeConcurrency?.toString(),
    OUTCOME_BATCH_SIZE: options.outcomeBatchSize?.toString(),
    RECIPIENT_ALLOWLIST: recipientAllowlist === undefined ? undefined : allowlistText(recipientAllowlist),
    DASHBOARD_USERNAME: dashboard.username,
    DASHBOARD_PASSWORD: dashboard.password,
    DASHBOARD_SHOW_CONTENT: dashboard.showContent?.toString(),
    TWILIO_ACCOUNT_SID: twilio.accountSid,
    TWILIO_AUTH_TOKEN: typeof authToken === 'object' ? authToken.join(',') : authToken,
    TWILIO_API_KEY_SID: twilio.apiKeySid,
    TWILIO_API_KEY_SECRET: twilio.apiKeySecret,
    TWILIO_API_BASE_URL: twilio.apiBaseUrl,
  }
  const given = Object.fromEntries(Object.entries(overlay).filter(([, value]) => value !== undefined))
  return { ...env, ...given, ...sender }
}

/** An empty text would count as unset, and send to everybody. A lone comma is invalid. */
function allowlistText(entries: readonly string[]): string {
  const text = entries.join(',')
  return /\d/.test(text) ? text : ','
}

/**
 * @param name how the error names the file
 * @throws ConfigError if the file cannot be read or is not JSON
 */
export function readPolicyFile(path: string | null, name = 'RETRY_POLICY_FILE'): unknown {
  if (path === null) return undefined
  let text = ''
  try {
    text = readTextFile(path)
    // JSON.parse accepts invisible characters inside texts, such as in an error code.
    const invisible = describeLine(text, describeInvisible)
    if (invisible !== null) throw new Error(invisible)
    return JSON.parse(text)
  } catch (error) {
    const { message } = error as Error
    // Typographic quotes and dashes are a common cause of invalid JSON.
    const unusual = describeLine(text, describeUnusual)
    const hint = unusual === null || unusual === message ? '' : `; ${unusual}`
    throw new ConfigError(`${name} cannot be read as JSON: ${message}${hint}`, { cause: error })
  }
}

/**
 * Starts the queue of a process that cannot run without it. Closes the database if that fails.
 *
 * @throws DatabaseError or SchemaError
 */
export async function startRuntimeQueue(
  { config, database, logger }: Runtime,
  role: 'schedule' | 'work',
): Promise<Queue> {
  try {
    await loadTracing()
    await requireCurrentTable(database)
    return await startQueue(database, role, logger, { recordsOutcomes: config.outcomes.isOn })
  } catch (error) {
    await database.close()
    throw error
  }
}

/** The dependencies of everything that records events. */
export function recordingOf(runtime: Runtime, queue: Queue): RecordingDeps {
  const { config, database, policy, circumstances, logger, metrics } = runtime
  const deps = { database, queue, policy, circumstances, logger, metrics, random: Math.random }
  const recorder = new EventRecorder(deps, config.database.poolMax)
  return { ...deps, recorder, refused: new RefusedRows(logger) }
}

/**
 * Starts the queue on first use, and tries again after a failure. A web process can therefore start, and answer its
 * health check, while the database is unavailable.
 */
export class LazyRecording {
  readonly #start: () => Promise<RecordingDeps>
  #starting: Promise<RecordingDeps> | undefined

  constructor(runtime: Runtime, instance: Instance) {
    const { config, database, logger } = runtime
    this.#start = async () => {
      void instance.start()
      await loadTracing()
      await requireOwnTable(database)
      const options = { recordsOutcomes: config.outcomes.isOn }
      return recordingOf(runtime, await startQueue(database, 'schedule', logger, options))
    }
  }

  /** @throws DatabaseError or SchemaError */
  get(): Promise<RecordingDeps> {
    this.#starting ??= this.#start().catch((error: unknown) => {
      this.#starting = undefined
      throw error
    })
    return this.#starting
  }

  async stop(timeoutMs: number): Promise<void> {
    const recording = await this.#starting?.catch(() => undefined)
    await recording?.queue.stop(timeoutMs)
  }
}
