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

/** Lets pass who knows the credentials; answers everybody else with 401, or 429 after too many failures. */
export function signIn({ username, password }: Credentials, logger: Logger): RequestHandler {
  const expected = digest(`${username}:${password}`)
  const cookieKey = digest(`browser:${username}:${password}`)
  const byAddress = new RateLimiterMemory({ points: MOST_FAILURES, duration: WINDOW_SECONDS })
  const ofAll = new RateLimiterMemory({ points: MOST_FAILURES_OF_ALL, duration: WINDOW_SECONDS })

  return async (request, response, next) => {
    const given = credentialsOf(request)
    if (given === null) return refuse(response)
    const isKnown = isKnownBrowser(request, cookieKey)
    const address = addressOf(request)
    if (!isKnown) {
      // Before the comparison: a right guess is to be worth nothing either.
      const spent = [await byAddress.get(address), await ofAll.get('')].find(isSpent)
      if (spent) return refuseForNow(response, spent)
    }
    if (timingSafeEqual(digest(given), expected)) {
      if (!isKnown) remember(request, response, cookieKey)
      return next()
    }
    logger.warn('Dashboard: wrong credentials')
    // Rejects if the limit is exceeded, which the next request is told.
    await Promise.allSettled([byAddress.consume(address), ofAll.consume('')])
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

function isSpent(failures: RateLimiterRes | null): failures is RateLimiterRes {
  return failures !== null && failures.remainingPoints <= 0
}

/** A network of one subscriber in IPv6 has 2^64 addresses. */
function addressOf({ socket }: Request): string {
  const address = socket.remoteAddress ?? ''
  return address.includes(':') && !address.includes('.') ? address.split(':').slice(0, 4).join(':') : address
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

function remember(request: Request, response: Response, key: Buffer): void {
  const id = randomBytes(16).toString('hex')
  response.cookie(COOKIE, `${id}.${macOf(id, key)}`, {
    httpOnly: true,
    sameSite: 'strict',
    // Whoever speaks for a proxy here speaks about his own cookie only.
    secure: request.secure || request.get('X-Forwarded-Proto') === 'https',
    path: request.baseUrl || '/',
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
