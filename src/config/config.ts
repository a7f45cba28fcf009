// Parses the environment into a frozen Config. It is pure: only the program entries read process.env. The library
// merges its options into the environment first, so one schema validates both.
import type { z as Z } from 'zod'
import { readDatabaseUrl } from './database-url.ts'
import { createEnvSchema, urlOf } from './env-schema.ts'
import type { SendWindow } from '../delivery/send-window.ts'
import { ConfigError } from '../shared/errors.ts'
import { describeInvisible, describeUnusual } from '../shared/hidden-characters.ts'
import { hintsOnNumber } from '../shared/phone-number.ts'

type Schema = ReturnType<typeof createEnvSchema>
let schema: Schema | undefined

function schemaOfAll(): Schema {
  schema ??= createEnvSchema()
  return schema
}

/** The environment variables that sms-retry reads. */
export type EnvName = keyof Schema['shape']

export function envNames(): readonly EnvName[] {
  return Object.keys(schemaOfAll().shape) as EnvName[]
}

export type Env = Readonly<Record<string, string | undefined>>

/** The settings that a program needs. `sender` is a from number or a Messaging Service. */
export type Requirement =
  | 'DATABASE_URL'
  | 'PUBLIC_BASE_URL'
  | 'TWILIO_ACCOUNT_SID'
  | 'TWILIO_AUTH_TOKEN'
  | 'sender'

export interface DatabaseConfig {
  readonly url: string
  readonly ssl: 'disable' | 'require' | 'verify' | null
  readonly poolMax: number
}

export interface TwilioConfig {
  readonly accountSid: string
  /** Requests use the first token, unless there is an API key. A signature by any of the tokens is valid. */
  readonly authTokens: readonly string[]
  readonly apiKey: { readonly sid: string; readonly secret: string } | null
  readonly fromNumber: string | null
  readonly messagingServiceSid: string | null
  /** The base URL of a simulator; null for Twilio itself. */
  readonly apiBaseUrl: string | null
  /** A file with the certificates to trust; null to trust Node's own. */
  readonly caBundle: string | null
  /** The maximum number of concurrent requests of this process. */
  readonly concurrency: number
}

export interface DashboardConfig {
  /** Null for no dashboard. */
  readonly credentials: { readonly username: string; readonly password: string } | null
  /** Whether it shows whole phone numbers and texts. */
  readonly showContent: boolean
}

export interface SendWindowConfig {
  /** Null to send at any time, unless a message has its own window. */
  readonly hours: SendWindow | null
  /** An IANA name, or `recipient` for the time zones that the number can be in. */
  readonly timeZone: string
  /** For numbers whose time zone is not known; null if it is not set. */
  readonly fallbackTimeZone: string | null
}

export interface OutcomesConfig {
  /** Whether outcomes are recorded, to be delivered to the app. */
  readonly isOn: boolean
  /** Null for no webhook. Each request is signed with all secrets. */
  readonly webhook: { readonly url: string; readonly secrets: readonly string[] } | null
  /** How many outcomes a worker delivers at the same time. */
  readonly concurrency: number
  /** How many outcomes a worker takes together; at most `concurrency`. */
  readonly batchSize: number
}

/** A setting that the program does not require may be an empty string or an empty list. */
export interface Config {
  readonly database: DatabaseConfig
  readonly twilio: TwilioConfig
  readonly dashboard: DashboardConfig
  /** The URL at which Twilio reaches the root of this application, without a slash at the end. */
  readonly publicBaseUrl: string
  /** Whether NODE_ENV is `production`. */
  readonly isProduction: boolean
  readonly port: number
  readonly host: string
  readonly retryPolicyFile: string | null
  readonly retryDelayScale: number
  /** The number of attempts that all workers together start per second; null for no limit. */
  readonly sendRatePerSecond: number | null
  readonly sendWindow: SendWindowConfig
  /** Numbers, and prefixes that end in `*`; null to send to everybody. */
  readonly recipientAllowlist: readonly string[] | null
  readonly outcomes: OutcomesConfig
  /** The bearer token for the metrics; null to refuse all requests. */
  readonly metricsToken: string | null
  readonly logLevel: 'error' | 'warn' | 'info' | 'debug'
  readonly logFormat: 'json' | 'text'
}

/**
 * Parses the configuration. An empty string counts as unset.
 *
 * @throws ConfigError that lists every fault by name, with an example, but without the value
 */
export function parseConfig(env: Env, required: readonly Requirement[]): Config {
  const { config, faults } = readConfig(env, required)
  if (faults.length > 0) {
    const texts = faults.map(({ text }) => text)
    throw new ConfigError(
      `The configuration is not valid:\n  ${texts.join('\n  ')}\ndocs/configuration.md describes every setting.`,
    )
  }
  return config
}

export interface ConfigFault {
  /** The settings that the fault concerns. */
  readonly names: readonly EnvName[]
  /** Begins with the name of a setting, and never contains the value. */
  readonly text: string
}

/** Like parseConfig, but returns the faults instead of throwing. A value that cannot be parsed counts as unset. */
export function readConfig(
  env: Env,
  required: readonly Requirement[],
): { readonly config: Config; readonly faults: readonly ConfigFault[] } {
  const given = Object.fromEntries(
    envNames()
      .map((name) => [name, unquote(name, env[name])] as const)
      .filter(([, value]) => value !== ''),
  )
  const unreadable = Object.entries(given).flatMap(([name, value]) => faultsOfValue(name as EnvName, value))
  const faulty = new Set<string>(unreadable.flatMap(({ names }) => names))
  const readable = Object.fromEntries(Object.entries(given).filter(([name]) => !faulty.has(name)))
  return {
    config: deepFreeze(toConfig(schemaOfAll().partial().parse(readable))),
    faults: [...unreadable, ...missing(given, required), ...contradictions(given)],
  }
}

/** A value in quotes. Shells and .env files remove the quotes, but docker's --env-file keeps them. */
const QUOTED = /^(["'])(.*)\1$/s

/** Only these values may contain quotes. In other values, a pair of quotes is removed. */
const MAY_HAVE_QUOTES: ReadonlySet<EnvName> = new Set([
  'DASHBOARD_USERNAME',
  'DASHBOARD_PASSWORD',
  'METRICS_TOKEN',
])

/** The value without surrounding white space and quotes. */
function unquote(name: EnvName, value: unknown): string {
  // A JavaScript program may pass any value as an option, such as a URL object.
  const text = String(value ?? '').trim()
  const inner = QUOTED.exec(text)?.[2]?.trim()
  return inner === undefined || (inner !== '' && MAY_HAVE_QUOTES.has(name)) ? text : inner
}

function faultsOfValue(name: EnvName, value: string): ConfigFault[] {
  const fault = (text: string): ConfigFault => ({ names: [name], text: `${name} ${text}` })
  const invisible = describeInvisible(value)
  if (invisible !== null) return [fault(`has ${invisible}: delete it, or type the value again`)]
  if (MAY_HAVE_QUOTES.has(name) && QUOTED.test(value)) return [fault(HAS_QUOTES)]
  const issues = schemaOfAll().shape[name].safeParse(value).error?.issues ?? []
  return issues.map(({ message }) => fault(`${message}${hintsOn(name, value)}`))
}

const HAS_QUOTES =
  "begins and ends with a quote, which docker's --env-file keeps: remove the quotes, or choose a value without them"

/** Hints on invisible or unusual characters in an invalid value. Never contains the value. */
function hintsOn(name: EnvName, value: string): string {
  if (name === 'TWILIO_FROM_NUMBER' && !/[A-Za-z]/.test(value)) return hintsOnNumber(value)
  const unusual = describeUnusual(value)
  const hasQuote = /^["'`]|["'`]$/.test(value)
  return `${unusual === null ? '' : `; it has ${unusual}`}${hasQuote ? '; it has a quote at one end' : ''}`
}

const EXAMPLES: Record<Exclude<Requirement, 'sender'>, string> = {
  DATABASE_URL: 'postgres://user:password@localhost:5432/app',
  PUBLIC_BASE_URL: 'https://sms.example.com',
  TWILIO_ACCOUNT_SID: 'AC followed by 32 hexadecimal digits',
  TWILIO_AUTH_TOKEN: 'the auth token from the Twilio console',
}

const SENDER_NAMES = ['TWILIO_FROM_NUMBER', 'TWILIO_MESSAGING_SERVICE_SID'] as const

function missing(given: Env, required: readonly Requirement[]): ConfigFault[] {
  return required.flatMap((name): ConfigFault[] => {
    if (name !== 'sender') {
      const text = `${name} is required, such as ${EXAMPLES[name]}`
      return given[name] === undefined ? [{ names: [name], text }] : []
    }
    if (SENDER_NAMES.some((sender) => given[sender] !== undefined)) return []
    const text = 'TWILIO_FROM_NUMBER (such as +15551234567) or TWILIO_MESSAGING_SERVICE_SID is required'
    return [{ names: SENDER_NAMES, text }]
  })
}

function contradictions(given: Env): ConfigFault[] {
  const faults: ConfigFault[] = []
  if ((given['TWILIO_API_KEY_SID'] === undefined) !== (given['TWILIO_API_KEY_SECRET'] === undefined)) {
    faults.push({
      names: ['TWILIO_API_KEY_SID', 'TWILIO_API_KEY_SECRET'],
      text: 'TWILIO_API_KEY_SID and TWILIO_API_KEY_SECRET must be set together',
    })
  }
  if ((given['DASHBOARD_USERNAME'] === undefined) !== (given['DASHBOARD_PASSWORD'] === undefined)) {
    faults.push({
      names: ['DASHBOARD_USERNAME', 'DASHBOARD_PASSWORD'],
      text: 'DASHBOARD_USERNAME and DASHBOARD_PASSWORD must be set together; leave both out for no dashboard',
    })
  }
  const database = readDatabaseUrl(given['DATABASE_URL'] ?? '')
  const parameters = 'url' in database ? new URL(database.url).searchParams : null
  const files = ['sslrootcert', 'sslcert', 'sslkey'].filter((name) => parameters?.has(name))
  if (given['DATABASE_SSL'] !== undefined && files.length > 0) {
    faults.push({
      names: ['DATABASE_SSL'],
      text: `DATABASE_SSL must be left out when DATABASE_URL names certificates (${files.join(', ')}); set sslmode in that URL instead`,
    })
  }
  const isRecipients = (given['SEND_WINDOW_TIME_ZONE'] ?? 'recipient') === 'recipient'
  if (
    given['SEND_WINDOW'] !== undefined &&
    isRecipients &&
    given['SEND_WINDOW_FALLBACK_TIME_ZONE'] === undefined
  ) {
    faults.push({ names: ['SEND_WINDOW_FALLBACK_TIME_ZONE'], text: NO_FALLBACK })
  }
  const isPlainHttp = (name: EnvName): boolean => {
    const text = given[name]
    return given['NODE_ENV'] === 'production' && text !== undefined && urlOf(text)?.protocol !== 'https:'
  }
  if (isPlainHttp('TWILIO_API_BASE_URL')) {
    faults.push({
      names: ['TWILIO_API_BASE_URL'],
      text: 'TWILIO_API_BASE_URL must be https when NODE_ENV=production; leave it out to use Twilio itself',
    })
  }
  if (isPlainHttp('OUTCOME_WEBHOOK_URL')) {
    faults.push({
      names: ['OUTCOME_WEBHOOK_URL'],
      text: 'OUTCOME_WEBHOOK_URL must be https when NODE_ENV=production',
    })
  }
  return [...faults, ...outcomeContradictions(given)]
}

function outcomeContradictions(given: Env): ConfigFault[] {
  const { OUTCOME_EVENTS: events, OUTCOME_WEBHOOK_URL: url, OUTCOME_WEBHOOK_SECRET: secret } = given
  const faults: ConfigFault[] = []
  if ((url === undefined) !== (secret === undefined)) {
    faults.push({
      names: ['OUTCOME_WEBHOOK_URL', 'OUTCOME_WEBHOOK_SECRET'],
      text: 'OUTCOME_WEBHOOK_URL and OUTCOME_WEBHOOK_SECRET must be set together',
    })
  }
  if (url !== undefined && events !== 'true') {
    faults.push({
      names: ['OUTCOME_EVENTS'],
      text: 'OUTCOME_EVENTS must be true, in every process, if OUTCOME_WEBHOOK_URL is set',
    })
  }
  return faults
}

const NO_FALLBACK =
  'SEND_WINDOW_FALLBACK_TIME_ZONE is required with SEND_WINDOW, such as America/New_York: some numbers show no time zone ' +
  '(toll-free, international), and a wrong guess would text them at night. Or set SEND_WINDOW_TIME_ZONE to one time zone ' +
  'for all recipients'

type ParsedEnv = { [Name in EnvName]?: Z.output<Schema>[Name] | undefined }

const OUTCOME_CONCURRENCY = 10
const OUTCOME_BATCH_SIZE = 5

function toOutcomes(env: ParsedEnv): OutcomesConfig {
  const { OUTCOME_WEBHOOK_URL: url, OUTCOME_WEBHOOK_SECRET: secrets } = env
  const concurrency = env.OUTCOME_CONCURRENCY ?? Math.max(OUTCOME_CONCURRENCY, env.OUTCOME_BATCH_SIZE ?? 1)
  return {
    isOn: env.OUTCOME_EVENTS === 'true',
    webhook: url !== undefined && secrets !== undefined ? { url, secrets } : null,
    concurrency,
    batchSize: Math.min(env.OUTCOME_BATCH_SIZE ?? OUTCOME_BATCH_SIZE, concurrency),
  }
}

function toConfig(env: ParsedEnv): Config {
  const { TWILIO_API_KEY_SID: keySid, TWILIO_API_KEY_SECRET: keySecret } = env
  const { DASHBOARD_USERNAME: username, DASHBOARD_PASSWORD: password } = env
  return {
    database: {
      url: env.DATABASE_URL ?? '',
      ssl: env.DATABASE_SSL ?? null,
      poolMax: env.DATABASE_POOL_MAX ?? 5,
    },
    twilio: {
      accountSid: env.TWILIO_ACCOUNT_SID ?? '',
      authTokens: env.TWILIO_AUTH_TOKEN ?? [],
      apiKey: keySid !== undefined && keySecret !== undefined ? { sid: keySid, secret: keySecret } : null,
      fromNumber: env.TWILIO_FROM_NUMBER ?? null,
      messagingServiceSid: env.TWILIO_MESSAGING_SERVICE_SID ?? null,
      apiBaseUrl: env.TWILIO_API_BASE_URL ?? null,
      caBundle: env.TWILIO_CA_BUNDLE ?? null,
      concurrency: env.SEND_CONCURRENCY ?? 100,
    },
    dashboard: {
      credentials: username !== undefined && password !== undefined ? { username, password } : null,
      showContent: env.DASHBOARD_SHOW_CONTENT === 'true',
    },
    publicBaseUrl: (env.PUBLIC_BASE_URL ?? '').replace(/\/+$/, ''),
    isProduction: env.NODE_ENV === 'production',
    port: env.PORT ?? 3000,
    host: env.HOST ?? '0.0.0.0',
    retryPolicyFile: env.RETRY_POLICY_FILE ?? null,
    retryDelayScale: env.RETRY_DELAY_SCALE ?? 1,
    sendRatePerSecond: env.SEND_RATE_PER_SECOND ?? null,
    sendWindow: {
      hours: env.SEND_WINDOW ?? null,
      timeZone: env.SEND_WINDOW_TIME_ZONE ?? 'recipient',
      fallbackTimeZone: env.SEND_WINDOW_FALLBACK_TIME_ZONE ?? null,
    },
    recipientAllowlist: env.RECIPIENT_ALLOWLIST ?? null,
    outcomes: toOutcomes(env),
    metricsToken: env.METRICS_TOKEN ?? null,
    logLevel: env.LOG_LEVEL ?? 'info',
    logFormat: env.LOG_FORMAT ?? (env.NODE_ENV === 'production' ? 'json' : 'text'),
  }
}

function deepFreeze<T extends object>(value: T): T {
  for (const inner of Object.values(value)) {
    if (inner !== null && typeof inner === 'object') deepFreeze(inner as object)
  }
  return Object.freeze(value)
}
