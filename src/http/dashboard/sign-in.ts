// Basic authentication for the dashboard: credentials compared in constant time, and guessing slowed down without
// locking out whoever has signed in from the same browser before.
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Request, RequestHandler, Response } from 'express'
import { RateLimiterMemory, type RateLimiterRes } from 'rate-limiter-flexible'
import type { Logger } from '../../log.ts'

/** Wrong credentials in a minute: from one address (a proxy in front is one), and from all. */
const MOST_FAILURES = 10
const MOST_FAILURES_OF_ALL = 1_000
const WINDOW_SECONDS = 60

const COOKIE = 'sms_retry_browser'
const COOKIE_SECONDS = 30 * 24 * 3600

export interface Credentials {
  readonly username: string
  readonly password: string
}

/**
 * Lets pass who knows the credentials; answers everybody else with 401, or 429 after too many failures.
 *
 * @param baseOf the path below which a browser finds the pages
 */
export function signIn(
  { username, password }: Credentials,
  logger: Logger,
  baseOf: (request: Request) => string,
): RequestHandler {
  const expected = digest(`${username}:${password}`)
  const cookieKey = digest(`browser:${username}:${password}`)
  const byAddress = new RateLimiterMemory({ points: MOST_FAILURES, duration: WINDOW_SECONDS })
  const ofAll = new RateLimiterMemory({ points: MOST_FAILURES_OF_ALL, duration: WINDOW_SECONDS })

  return async (request, response, next) => {
    const given = credentialsOf(request)
    if (given === null) return refuse(response)
    const isRight = timingSafeEqual(digest(given), expected)
    const isKnown = isKnownBrowser(request, cookieKey)
    const spent =
      (await whatIsSpent(byAddress, addressOf(request), isRight)) ?? (await whatIsSpent(ofAll, '', isRight))
    // Over the limit, a right guess is worth nothing either.
    if (spent !== null && !isKnown) return refuseForNow(response, spent)
    if (isRight) {
      if (!isKnown) remember(request, response, { path: baseOf(request) || '/', key: cookieKey })
      return next()
    }
    logger.warn('Dashboard: wrong credentials')
    refuse(response)
  }
}

function credentialsOf(request: Request): string | null {
  const [, encoded] = /^basic +([\w+/=-]+) *$/i.exec(request.get('Authorization') ?? '') ?? []
  return encoded === undefined ? null : Buffer.from(encoded, 'base64').toString('utf8')
}

/** Of equal length whatever was given, so that a comparison takes the same time. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/**
 * Counts a wrong guess, and looks at the count for a right one: at once, so that of guesses that came in one piece each
 * meets those before it.
 *
 * @returns null if it is within the limit
 */
async function whatIsSpent(
  failures: RateLimiterMemory,
  key: string,
  isRight: boolean,
): Promise<RateLimiterRes | null> {
  if (!isRight)
    return failures.consume(key).then(
      () => null,
      (spent: RateLimiterRes) => spent,
    )
  const soFar = await failures.get(key)
  return soFar !== null && soFar.remainingPoints <= 0 ? soFar : null
}

/** The network, in IPv6: one subscriber has 2^64 addresses. */
function addressOf({ socket }: Request): string {
  const address = socket.remoteAddress ?? ''
  if (!address.includes(':') || address.includes('.')) return address
  // A double colon stands for as many zeros as there are parts missing.
  const [head = [], tail = []] = address.split('::').map((half) => half.split(':'))
  const zeros = Array<string>(8 - head.length - tail.length).fill('0')
  return [...head, ...zeros, ...tail].slice(0, 4).join(':')
}

/** What the browser is given cannot be made without the password, and is worth nothing without it. */
function isKnownBrowser(request: Request, key: Buffer): boolean {
  const [, id, mac] =
    new RegExp(`(?:^|; *)${COOKIE}=(\\w+)\\.([\\w-]+)`).exec(request.get('Cookie') ?? '') ?? []
  if (id === undefined || mac === undefined) return false
  return timingSafeEqual(digest(mac), digest(macOf(id, key)))
}

function macOf(id: string, key: Buffer): string {
  return createHmac('sha256', key).update(id).digest('base64url')
}

function remember(
  request: Request,
  response: Response,
  { path, key }: { readonly path: string; readonly key: Buffer },
): void {
  const id = randomBytes(16).toString('hex')
  response.cookie(COOKIE, `${id}.${macOf(id, key)}`, {
    httpOnly: true,
    sameSite: 'strict',
    // Whoever speaks for a proxy here speaks about his own cookie only.
    secure: request.secure || request.get('X-Forwarded-Proto') === 'https',
    path,
    maxAge: COOKIE_SECONDS * 1000,
  })
}

function refuse(response: Response): void {
  response
    .status(401)
    .set('WWW-Authenticate', 'Basic realm="sms-retry", charset="UTF-8"')
    .type('text/plain')
    .send('Sign in with DASHBOARD_USERNAME and DASHBOARD_PASSWORD\n')
}

function refuseForNow(response: Response, { msBeforeNext }: RateLimiterRes): void {
  response
    .status(429)
    .set('Retry-After', `${Math.ceil(msBeforeNext / 1000)}`)
    .type('text/plain')
    .send('Too many wrong passwords; try again in a minute\n')
}
