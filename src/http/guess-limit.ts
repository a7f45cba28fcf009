// What guessing the dashboard's password or the metrics' token may cost and find out: one limit for both, by the address of
// the connection (a proxy in front is one address).
import type { Request } from 'express'
import { RateLimiterMemory, type RateLimiterRes } from 'rate-limiter-flexible'
import { type Log, type Logger, throttledLog } from '../shared/log.ts'

/** Wrong guesses in a minute: from one address or browser, and from all addresses. */
const MAX_FAILURES = 10
const MAX_FAILURES_OF_ALL = 1_000
const WINDOW_SECONDS = 60

const LOG_EVERY_MS = 10_000

export interface Guess {
  readonly isRight: boolean
  /** The id of a browser that has signed in before: its guesses are counted apart from those of its address. */
  readonly browser?: string | null
}

/** Over the limit, a right guess is worth nothing either. */
export type GuessVerdict =
  | { readonly verdict: 'right' | 'wrong' }
  | { readonly verdict: 'over the limit'; readonly retryAfterSeconds: number }

export class GuessLimit {
  readonly #bySource = new RateLimiterMemory({ points: MAX_FAILURES, duration: WINDOW_SECONDS })
  readonly #ofAll = new RateLimiterMemory({ points: MAX_FAILURES_OF_ALL, duration: WINDOW_SECONDS })
  readonly #logs: Readonly<Record<'password' | 'token', Log>>

  constructor(logger: Logger) {
    const log = (): Log => throttledLog((message, fields) => logger.warn(message, fields), LOG_EVERY_MS)
    this.#logs = { password: log(), token: log() }
  }

  /** Of guesses that came in one piece, each meets those before it. */
  async judge(
    what: 'password' | 'token',
    request: Pick<Request, 'socket'>,
    { isRight, browser = null }: Guess,
  ): Promise<GuessVerdict> {
    const spent =
      browser === null
        ? ((await consume(this.#bySource, `address ${networkOf(request)}`, isRight)) ??
          (await consume(this.#ofAll, '', isRight)))
        : await consume(this.#bySource, `browser ${browser}`, isRight)
    if (isRight && spent === null) return { verdict: 'right' }
    this.#logs[what](MESSAGES[what], { address: request.socket.remoteAddress })
    if (spent === null) return { verdict: 'wrong' }
    return { verdict: 'over the limit', retryAfterSeconds: Math.ceil(spent.msBeforeNext / 1000) }
  }
}

const MESSAGES = { password: 'Dashboard: wrong credentials', token: 'Metrics: wrong token' } as const

/**
 * Counts a wrong guess, and looks at the count for a right one.
 *
 * @returns null if it is within the limit
 */
async function consume(
  failures: RateLimiterMemory,
  key: string,
  isRight: boolean,
): Promise<RateLimiterRes | null> {
  if (!isRight)
    return failures.consume(key).then(
      () => null,
      // In memory, nothing else can go wrong.
      (spent: RateLimiterRes) => spent,
    )
  const soFar = await failures.get(key)
  return soFar !== null && soFar.remainingPoints <= 0 ? soFar : null
}

/** The network, in IPv6: one subscriber has 2^64 addresses. */
function networkOf({ socket }: Pick<Request, 'socket'>): string {
  const address = socket.remoteAddress ?? ''
  if (!address.includes(':') || address.includes('.')) return address
  // A double colon stands for as many zeros as there are parts missing.
  const [head = [], tail = []] = address.split('::').map((half) => half.split(':'))
  const zeros = Array<string>(8 - head.length - tail.length).fill('0')
  return [...head, ...zeros, ...tail].slice(0, 4).join(':')
}
