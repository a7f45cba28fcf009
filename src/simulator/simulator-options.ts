// The options of startSimulator: defaults and validation. The CLI reads them from flags and environment.
import { type AccountStatus, checkAccountStatus } from './account-resource.ts'
import { type Chaos, type ChaosChange, changeChaos, NO_CHAOS } from './chaos.ts'

/** Public on purpose. Built from parts so that no scanner reports them as leaked credentials. */
export const SIMULATOR_ACCOUNT_SID = `AC${'0123456789abcdef'.repeat(2)}`
export const SIMULATOR_AUTH_TOKEN = 'fedcba9876543210'.repeat(2)

export interface SimulatorOptions {
  /** Default: 127.0.0.1, which other machines cannot reach. */
  host?: string | undefined
  /** Default: 0, which selects a free port. */
  port?: number | undefined
  accountSid?: string | undefined
  /** Also signs the callbacks if requests use an API key. */
  authToken?: string | undefined
  /** While it is not 'active', POSTs of messages are refused, and queued messages fail. */
  accountStatus?: AccountStatus | undefined
  isTrial?: boolean | undefined
  /** Accepted in addition to the auth token, except for reading the account. Set both or neither. */
  apiKeySid?: string | undefined
  apiKeySecret?: string | undefined
  /**
   * The same seed and the same order of requests give the same faults and the same sids. Use another seed when you restart
   * the simulator with a database that you keep; otherwise sids repeat.
   */
  seed?: number | undefined
  /** Time between two statuses of a message. */
  callbackDelayMs?: number | undefined
  chaos?: ChaosChange | undefined
  /** Delay of a callback with the fault `delayCallbacks`. */
  chaosDelayMs?: number | undefined
  /** How long a hanging request is held before its connection is closed. */
  hangMs?: number | undefined
  /** Delay of the answer to a request with the fault `slow`. */
  slowMs?: number | undefined
  /** How long an idle connection is kept open. Default: Node's own. */
  keepAliveMs?: number | undefined
  /** Retry-After of every 429; null omits the header. */
  retryAfterSeconds?: number | null | undefined
  /** Include refused POSTs in fetch and list, with the status 'failed'. */
  listRefused?: boolean | undefined
  /** The number of messages, and of callbacks, that are kept. The oldest are dropped. */
  maxKept?: number | undefined
  /**
   * The clock for all reported times, in milliseconds since 1970: dates of resources, callbacks and answers. Delays and
   * time-outs still use real time.
   */
  now?: (() => number) | undefined
  /** Time-outs for callbacks whose URL does not set `ct` and `rt`. */
  connectTimeoutMs?: number | undefined
  answerTimeoutMs?: number | undefined
}

export interface SimulatorSettings {
  host: string
  port: number
  accountSid: string
  /** The initial token; setAuthToken does not change it here. */
  authToken: string
  /** The initial status; setAccountStatus does not change it here. */
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

/** @throws RangeError that names the invalid option */
export function readOptions(options: SimulatorOptions): Readonly<SimulatorSettings> {
  return Object.freeze({
    host: options.host ?? '127.0.0.1',
    port: inRange('port', options.port ?? 0, 0, 65_535),
    accountSid: notEmpty('accountSid', options.accountSid ?? SIMULATOR_ACCOUNT_SID),
    authToken: checkAuthToken(options.authToken ?? SIMULATOR_AUTH_TOKEN),
    accountStatus: checkAccountStatus(options.accountStatus ?? 'active'),
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

/** @throws RangeError for an empty token, with which anyone could forge callbacks */
export function checkAuthToken(token: string): string {
  return notEmpty('authToken', token)
}

function notEmpty(name: string, value: string): string {
  if (value === '') throw new RangeError(`${name} must not be empty`)
  return value
}

/** The longest delay of setTimeout. A longer one would fire immediately. */
const TIMER_MAX_MS = 2_147_483_647

function inRange(name: string, value: number, min: number, max: number = TIMER_MAX_MS): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw new RangeError(`${name} must be a whole number from ${min} to ${max}, not ${value}`)
}
