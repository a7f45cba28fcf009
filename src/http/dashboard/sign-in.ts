// Basic authentication for the dashboard: credentials compared in constant time, and guessing slowed down without
// locking out a browser that has signed in before.
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Request, RequestHandler, Response } from 'express'
import type { GuessLimit } from '../guess-limit.ts'
import type { Credentials, DashboardKeys } from './dashboard-keys.ts'

const COOKIE = 'sms_retry_browser'
const COOKIE_SECONDS = 30 * 24 * 3600

export interface SignInDeps {
  readonly credentials: Credentials
  readonly keys: DashboardKeys
  readonly guessLimit: GuessLimit
  /** Whether browsers reach the pages by https. */
  readonly isSecure: boolean
  /** The path below which a browser finds the pages. */
  readonly baseOf: (request: Request) => string
}

/** Lets requests with the credentials pass; answers all others with 401, or 429 after too many failures. */
export function signIn({ credentials, keys, guessLimit, isSecure, baseOf }: SignInDeps): RequestHandler {
  const expected = digest(`${credentials.username}:${credentials.password}`)

  return async (request, response, next) => {
    const given = credentialsOf(request)
    if (given === null) return refuse(response)
    const isRight = timingSafeEqual(digest(given), expected)
    const browser = await knownBrowser(request, keys)
    const judged = await guessLimit.judge('password', request, { isRight, browser })
    if (judged.verdict === 'over the limit') return refuseForNow(response, judged.retryAfterSeconds)
    if (judged.verdict === 'wrong') return refuse(response)
    if (browser === null) {
      const id = randomBytes(16).toString('hex')
      response.cookie(COOKIE, `${id}.${macOf(id, await keys.keyFor('cookie'))}`, {
        httpOnly: true,
        sameSite: 'strict',
        secure: isSecure,
        path: baseOf(request) || '/',
        maxAge: COOKIE_SECONDS * 1000,
      })
    }
    next()
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

/** The id in its cookie, which cannot be made without the password, and opens nothing without it; null if there is none. */
async function knownBrowser(request: Request, keys: DashboardKeys): Promise<string | null> {
  const [, id, mac] =
    new RegExp(`(?:^|; *)${COOKIE}=(\\w+)\\.([\\w-]+)`).exec(request.get('Cookie') ?? '') ?? []
  if (id === undefined || mac === undefined) return null
  const expected = macOf(id, await keys.keyFor('cookie'))
  return timingSafeEqual(digest(mac), digest(expected)) ? id : null
}

function macOf(id: string, key: Buffer): string {
  return createHmac('sha256', key).update(id).digest('base64url')
}

function refuse(response: Response): void {
  response
    .status(401)
    .set('WWW-Authenticate', 'Basic realm="sms-retry", charset="UTF-8"')
    .type('text/plain')
    .send('Sign in with DASHBOARD_USERNAME and DASHBOARD_PASSWORD\n')
}

function refuseForNow(response: Response, retryAfterSeconds: number): void {
  response
    .status(429)
    .set('Retry-After', `${retryAfterSeconds}`)
    .type('text/plain')
    .send('Too many wrong passwords; try again in a minute\n')
}
