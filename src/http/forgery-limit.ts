// What a flood of forged callbacks may cost. All requests may come through one proxy, so that there is no telling who
// sent them: a budget for all of them together, which only failed signatures use up, and which no genuine callback
// depends on.
import { createRequire } from 'node:module'
import type limiter from 'rate-limiter-flexible'
import { type Log, type Logger, throttledLog } from '../shared/log.ts'
import { isSignedByTwilio, isSignedInAnySpelling } from '../twilio/signature.ts'

/** Some two hundredths of a processor; many times what a wrong setting brings about. */
const MAX_FAILURES = 1_000
const WINDOW_SECONDS = 10

const LOG_EVERY_MS = 10_000

type SignedRequest = [signature: string | undefined, url: string, fields: Record<string, string | string[]>]

/** Over the budget, `forged` says how long that will last. */
export type Verdict =
  | { readonly verdict: 'genuine' }
  | { readonly verdict: 'forged'; readonly retryAfterSeconds: number | null }

export class ForgeryLimit {
  readonly #authTokens: readonly string[]
  #failures: limiter.RateLimiterMemory | undefined
  readonly #log: Log

  constructor(authTokens: readonly string[], logger: Logger) {
    this.#authTokens = authTokens
    this.#log = throttledLog((message, fields) => logger.warn(message, fields), LOG_EVERY_MS)
  }

  /** A callback as we ask for it, with a good signature, is genuine whatever has happened before. */
  async judge(address: string | undefined, ...request: SignedRequest): Promise<Verdict> {
    if (isSignedByTwilio(this.#authTokens, ...request)) return { verdict: 'genuine' }
    const retryAfterSeconds = await this.#spend()
    if (retryAfterSeconds === null && isSignedInAnySpelling(this.#authTokens, ...request)) {
      await this.#failuresSoFar().reward(ALL)
      return { verdict: 'genuine' }
    }
    this.#log('Status callback refused: its signature is not that of the account', {
      address,
      hint: HINT,
    })
    return { verdict: 'forged', retryAfterSeconds }
  }

  /** Counted from the first one on: most processes never see any. */
  #failuresSoFar(): limiter.RateLimiterMemory {
    this.#failures ??= new (loadLimiter().RateLimiterMemory)({
      points: MAX_FAILURES,
      duration: WINDOW_SECONDS,
    })
    return this.#failures
  }

  /** @returns null if this failure is within the budget */
  async #spend(): Promise<number | null> {
    try {
      await this.#failuresSoFar().consume(ALL)
      return null
    } catch (spent) {
      // In memory, nothing else can go wrong.
      return Math.ceil((spent as limiter.RateLimiterRes).msBeforeNext / 1000)
    }
  }
}

const ALL = ''

/** It loads what it has for a dozen databases. */
const loadLimiter = (): typeof limiter => createRequire(import.meta.url)('rate-limiter-flexible')

const HINT =
  'Check that PUBLIC_BASE_URL is what Twilio calls, and that TWILIO_AUTH_TOKEN is the primary token'
