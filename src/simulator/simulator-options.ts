// Owns the options of startSimulator: their defaults and their checks.
// Reading them from flags or an environment is left to the CLI.
import type { AccountStatus } from './account-resource.ts'
import { type Chaos, type ChaosChange, changeChaos, NO_CHAOS } from './chaos.ts'

/** Well known on purpose. Put together here so that no scanner takes them for leaked credentials. */
export const SIMULATOR_ACCOUNT_SID = `AC${'0123456789abcdef'.repeat(2)}`
export const SIMULATOR_AUTH_TOKEN = 'fedcba9876543210'.repeat(2)

export interface SimulatorOptions {
  /** 127.0.0.1 if left out: other machines cannot reach it. */
  host?: string | undefined
  /** 0, the default, takes any free port. */
  port?: number | undefined
  accountSid?: string | undefined
  /** Signs the callbacks, also when an API key is used for requests. */
  authToken?: string | undefined
  /** What the account says of itself; it goes on sending whatever that is. */
  accountStatus?: AccountStatus | undefined
  isTrial?: boolean | undefined
  /** Accepted beside the account's own credentials, but not for the account itself. Both or neither. */
  apiKeySid?: string | undefined
  apiKeySecret?: string | undefined
  /**
   * The same seed and the same order of requests give the same faults and the same sids. So a simulator that
   * is started again for a database that was kept needs another seed, or sids come twice.
   */
  seed?: number | undefined
  /** Time between two steps of a message's life. */
  callbackDelayMs?: number | undefined
  chaos?: ChaosChange | undefined
  /** How much later a callback comes that chaos delays. */
  chaosDelayMs?: number | undefined
  /** How long a request that chaos hangs is held before its connection is destroyed. */
  hangMs?: number | undefined
  /** How late a request is answered that chaos slows down. */
  slowMs?: number | undefined
  /** How long an idle connection is kept before it is closed; Node's own default if left out. */
  keepAliveMs?: number | undefined
  /** Retry-After of every 429; null leaves the header out. */
  retryAfterSeconds?: number | null | undefined
  /** Show refused POSTs to fetch and list, as status 'failed'. */
  listRefused?: boolean | undefined
  /** How many messages, and how many callbacks, are kept before the oldest are dropped. */
  maxKept?: number | undefined
  /**
   * Gives every time that is reported, in milliseconds since 1970: dates on resources, callbacks and answers.
   * What the simulator waits for takes real time all the same.
   */
  now?: (() => number) | undefined
  /** Twilio's time-outs for callbacks whose URL does not say `ct` and `rt`. */
  connectTimeoutMs?: number | undefined
  answerTimeoutMs?: number | undefined
}

export interface SimulatorSettings {
  host: string
  port: number
  accountSid: string
  /** The first one: setAuthToken does not change it here. */
  authToken: string
  accountStatus: AccountStatus
  isTrial: boolean
  apiKey: { sid: string; secret: string } | null
  seed: number
  callbackDelayMs: number
  chaos: Readonly<Chaos>
  chaosDelayMs: number
  hangMs: number
  slowMs: number
  keepAliveMs: number | null
  retryAfterSeconds: number | null
  listRefused: boolean
  maxKept: number
  now: () => number
  connectTimeoutMs: number
  answerTimeoutMs: number
}

/** Throws a RangeError that names the option. */
export function readOptions(options: SimulatorOptions): Readonly<SimulatorSettings> {
  return Object.freeze({
    host: options.host ?? '127.0.0.1',
    port: inRange('port', options.port ?? 0, 0, 65_535),
    accountSid: notEmpty('accountSid', options.accountSid ?? SIMULATOR_ACCOUNT_SID),
    authToken: checkAuthToken(options.authToken ?? SIMULATOR_AUTH_TOKEN),
    accountStatus: options.accountStatus ?? 'active',
    isTrial: options.isTrial ?? false,
    apiKey: readApiKey(options),
    seed: inRange('seed', options.seed ?? 1, 0, 4_294_967_295),
    callbackDelayMs: inRange('callbackDelayMs', options.callbackDelayMs ?? 50, 0),
    chaos: changeChaos(NO_CHAOS, options.chaos ?? {}),
    chaosDelayMs: inRange('chaosDelayMs', options.chaosDelayMs ?? 2_000, 0),
    hangMs: inRange('hangMs', options.hangMs ?? 30_000, 0),
    slowMs: inRange('slowMs', options.slowMs ?? 2_000, 0),
    keepAliveMs: options.keepAliveMs === undefined ? null : inRange('keepAliveMs', options.keepAliveMs, 1),
    retryAfterSeconds: readRetryAfter(options.retryAfterSeconds),
    listRefused: options.listRefused ?? false,
    maxKept: inRange('maxKept', options.maxKept ?? 100_000, 1),
    now: options.now ?? Date.now,
    connectTimeoutMs: inRange('connectTimeoutMs', options.connectTimeoutMs ?? 5_000, 1),
    answerTimeoutMs: inRange('answerTimeoutMs', options.answerTimeoutMs ?? 15_000, 1),
  })
}

function readRetryAfter(seconds: number | null = 1): number | null {
  return seconds === null ? null : inRange('retryAfterSeconds', seconds, 0)
}

function readApiKey({ apiKeySid, apiKeySecret }: SimulatorOptions) {
  if (apiKeySid === undefined && apiKeySecret === undefined) return null
  return { sid: notEmpty('apiKeySid', apiKeySid ?? ''), secret: notEmpty('apiKeySecret', apiKeySecret ?? '') }
}

/** Throws a RangeError for an empty one: it would sign callbacks in a way that anybody can forge. */
export function checkAuthToken(token: string): string {
  return notEmpty('authToken', token)
}

function notEmpty(name: string, value: string): string {
  if (value === '') throw new RangeError(`${name} must not be empty`)
  return value
}

// The largest delay that setTimeout keeps; a larger one would fire at once.
const TIMER_MAX_MS = 2_147_483_647

function inRange(name: string, value: number, min: number, max: number = TIMER_MAX_MS): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw new RangeError(`${name} is a whole number from ${min} to ${max}, not ${value}`)
}
