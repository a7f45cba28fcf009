// Limits what a flood of forged callbacks costs. All requests may come through one proxy, so senders cannot be told apart:
// one budget covers all forged requests. Only failed signatures use it up, and genuine callbacks do not depend on it.
import { createRequire } from 'node:module'
import type limiter from 'rate-limiter-flexible'
import { type Log, type Logger, throttledLog } from '../shared/log.ts'
import { isSignedByTwilio, isSignedInAnySpelling } from '../twilio/signature.ts'

/** So many failures cost about 0.5 % of a processor. A wrong setting causes far fewer. */
const MAX_FAILURES = 1_000
const WINDOW_SECONDS = 10

const LOG_EVERY_MS = 10_000

type SignedRequest = [signature: string | undefined, url: string, fields: Record<string, string | string[]>]

export type Verdict =
  | { readonly kind: 'genuine' }
  | { readonly kind: 'forged' }
  /** Not genuine by the usual check. Over the limit, other spellings of the URL are not checked. */
  | { readonly kind: 'over_limit'; readonly retryAfterSeconds: number }

export class ForgeryLimit {
  readonly #authTokens: readonly string[]
  #failures: limiter.RateLimiterMemory | undefined
  readonly #log: Log

  constructor(authTokens: readonly string[], logger: Logger) {
    this.#authTokens = authTokens
    this.#log = throttledLog((message, fields) => logger.warn(message, fields), LOG_EVERY_MS)
  }

  /** The limit never affects callbacks to URLs that we made: their signature is checked first. */
  async judge(address: string | undefined, ...request: SignedRequest): Promise<Verdict> {
    if (isSignedByTwilio(this.#authTokens, ...request)) return { kind: 'genuine' }
    const retryAfterSeconds = await this.#countFailure()
    if (retryAfterSeconds === null && isSignedInAnySpelling(this.#authTokens, ...request)) {
      await this.#limiter().reward(ALL)
      return { kind: 'genuine' }
    }
    this.#log('Status callback refused: wrong signature', { address, hint: HINT })
    return retryAfterSeconds === null ? { kind: 'forged' } : { kind: 'over_limit', retryAfterSeconds }
  }

  /** Created at the first failure: most processes never see one. */
  #limiter(): limiter.RateLimiterMemory {
    this.#failures ??= new (loadLimiter().RateLimiterMemory)({
      points: MAX_FAILURES,
      duration: WINDOW_SECONDS,
    })
    return this.#failures
  }

  /** @returns null within the budget; otherwise the seconds until it is renewed */
  async #countFailure(): Promise<number | null> {
    try {
      await this.#limiter().consume(ALL)
      return null
    } catch (exceeded) {
      // The in-memory limiter rejects for no other reason.
      return Math.ceil((exceeded as limiter.RateLimiterRes).msBeforeNext / 1000)
    }
  }
}

const ALL = ''

/** Loaded late, because the package loads its adapters for a dozen databases. */
const loadLimiter = (): typeof limiter => createRequire(import.meta.url)('rate-limiter-flexible')

const HINT =
  'Check that PUBLIC_BASE_URL is the URL that Twilio calls and that TWILIO_AUTH_TOKEN is the primary token'
