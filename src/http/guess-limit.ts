// Limits guesses of the dashboard's password and of the metrics token together, by the address of the connection. All
// clients behind one proxy count as one address.
import type { Request } from 'express'
import ipaddr from 'ipaddr.js'
import { RateLimiterMemory, type RateLimiterRes } from 'rate-limiter-flexible'
import { type Log, type Logger, throttledLog } from '../shared/log.ts'

/** Wrong guesses in a minute: from one address or browser, and from all addresses. */
const MAX_FAILURES = 10
const MAX_FAILURES_OF_ALL = 1_000
const WINDOW_SECONDS = 60

const LOG_EVERY_MS = 10_000

export interface Guess {
  readonly isRight: boolean
  /** The id of a browser that has signed in before: its guesses do not count for its address. */
  readonly browser?: string | null
}

/** Over the limit, a right guess is refused as well. */
export type GuessVerdict =
  | { readonly kind: 'right' | 'wrong' }
  | { readonly kind: 'over_limit'; readonly retryAfterSeconds: number }

export class GuessLimit {
  readonly #bySource = new RateLimiterMemory({ points: MAX_FAILURES, duration: WINDOW_SECONDS })
  readonly #ofAll = new RateLimiterMemory({ points: MAX_FAILURES_OF_ALL, duration: WINDOW_SECONDS })
  readonly #logs: Readonly<Record<'password' | 'token', Log>>

  constructor(logger: Logger) {
    const log = (): Log => throttledLog((message, fields) => logger.warn(message, fields), LOG_EVERY_MS)
    this.#logs = { password: log(), token: log() }
  }

  /** Pipelined guesses are counted one after the other. */
  async judge(
    secret: 'password' | 'token',
    request: Pick<Request, 'socket'>,
    { isRight, browser = null }: Guess,
  ): Promise<GuessVerdict> {
    const exceeded =
      browser === null
        ? ((await countGuess(this.#bySource, `address ${networkOf(request)}`, isRight)) ??
          (await countGuess(this.#ofAll, '', isRight)))
        : await countGuess(this.#bySource, `browser ${browser}`, isRight)
    if (isRight && exceeded === null) return { kind: 'right' }
    this.#logs[secret](MESSAGES[secret], { address: request.socket.remoteAddress })
    if (exceeded === null) return { kind: 'wrong' }
    return { kind: 'over_limit', retryAfterSeconds: Math.ceil(exceeded.msBeforeNext / 1000) }
  }
}

const MESSAGES = { password: 'Dashboard: wrong credentials', token: 'Metrics: wrong token' } as const

/**
 * Counts a wrong guess; a right one only reads the count.
 *
 * @returns null within the limit
 */
async function countGuess(
  failures: RateLimiterMemory,
  key: string,
  isRight: boolean,
): Promise<RateLimiterRes | null> {
  if (!isRight)
    return failures.consume(key).then(
      () => null,
      // The in-memory limiter rejects for no other reason.
      (exceeded: RateLimiterRes) => exceeded,
    )
  const count = await failures.get(key)
  return count !== null && count.remainingPoints <= 0 ? count : null
}

/** The /64 network of an IPv6 address, because one subscriber has all of its addresses. */
function networkOf({ socket }: Pick<Request, 'socket'>): string {
  const text = socket.remoteAddress ?? ''
  if (!ipaddr.isValid(text)) return text
  // Turns ::ffff:192.0.2.1 into 192.0.2.1.
  const address = ipaddr.process(text)
  return address instanceof ipaddr.IPv6 ? address.parts.slice(0, 4).join(':') : address.toString()
}
