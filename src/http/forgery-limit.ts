// Limits the cost of a flood of forged callbacks. All requests may come through one proxy, so their senders cannot be
// told apart, and one budget covers all forged requests. Only failed signatures use it up. It does not affect genuine
// callbacks.
import { createRequire } from 'node:module'
import type limiter from 'rate-limiter-flexible'
import { type Log, type Logger, throttledLog } from '../shared/log.ts'
import { isSignedByTwilio, isSignedInAnySpelling } from '../twilio/signature.ts'

/** Checking this many forged requests takes about 0.5 % of a processor. A wrong setting causes far fewer. */
const MAX_FAILURES = 1_000
const WINDOW_SECONDS = 10

const LOG_EVERY_MS = 10_000

type SignedRequest = [signature: string | undefined, url: string, fields: Record<string, string | string[]>]

export type Verdict =
  | { readonly kind: 'genuine' }
  | { readonly kind: 'forged' }
  /** Not signed for the usual spelling of the URL. Over the limit, other spellings are not checked. */
  | { readonly kind: 'over_limit'; readonly retryAfterSeconds: number }

export class ForgeryLimit {
  readonly #authTokens: readonly string[]
  #failures: limiter.RateLimiterMemory | undefined
  readonly #log: Log

  constructor(authTokens: readonly string[], logger: Logger) {
    this.#authTokens = authTokens
    this.#log = throttledLog((message, fields) => logger.warn(message, fields), LOG_EVERY_MS)
  }

  /** Checks the signature first, so the limit never affects callbacks to URLs that we made. */
  async judge(address: string | undefined, ...request: SignedRequest): Promise<Verdict> {
    if (isSignedByTwilio(this.#authTokens, ...request)) return { kind: 'genuine' }
    const retryAfterSeconds = await this.#countFailure()
    if (retryAfterSeconds === null && isSignedInAnySpelling(this.#authTokens, ...request)) {
      await this.#limiter().reward(SHARED_KEY)
      return { kind: 'genuine' }
    }
    this.#log('Status callback refused: wrong signature', { address, hint: HINT })
    return retryAfterSeconds === null ? { kind: 'forged' } : { kind: 'over_limit', retryAfterSeconds }
  }

  /** Created at the first failure, because most processes never see one. */
  #limiter(): limiter.RateLimiterMemory {
    this.#failures ??= new (loadLimiter().RateLimiterMemory)({
      points: MAX_FAILURES,
      duration: WINDOW_SECONDS,
    })
    return this.#failures
  }

  /** @returns null within the budget; otherwise the seconds until the next budget */
  async #countFailure(): Promise<number | null> {
    try {
      await this.#limiter().consume(SHARED_KEY)
      return null
    } catch (exceeded) {
      // The in-memory limiter rejects for no other reason.
      return Math.ceil((exceeded as limiter.RateLimiterRes).msBeforeNext / 1000)
    }
  }
}

/** One key for all requests: they share a budget. */
const SHARED_KEY = ''

/** Loaded late, because the package loads its adapters for a dozen databases. */
const loadLimiter = (): typeof limiter => createRequire(import.meta.url)('rate-limiter-flexible')

const HINT =
  'Check that PUBLIC_BASE_URL is the URL that Twilio calls and that TWILIO_AUTH_TOKEN is the primary token'
