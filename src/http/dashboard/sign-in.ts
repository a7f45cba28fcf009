// Basic authentication for the dashboard. Guessing is limited, but guesses of others do not lock out a browser that has
// signed in before.
import type { Request, RequestHandler, Response } from 'express'
import { equalSecrets } from '../equal-secrets.ts'
import type { GuessLimit } from '../guess-limit.ts'
import { BrowserCookie, type Credentials } from './browser-cookie.ts'

export interface SignInDeps {
  readonly credentials: Credentials
  readonly guessLimit: GuessLimit
  readonly publicBaseUrl: string
  /** Whether browsers reach the pages by https. */
  readonly isSecure: boolean
  readonly basePathOf: (request: Request) => string
}

/** Lets requests with the right credentials pass. Answers all others 401, or 429 after too many wrong guesses. */
export function requireSignIn(deps: SignInDeps): RequestHandler {
  const { credentials, guessLimit, publicBaseUrl, isSecure, basePathOf } = deps
  const expected = `${credentials.username}:${credentials.password}`
  const cookie = new BrowserCookie(credentials, publicBaseUrl)
  return async (request, response, next) => {
    const given = credentialsOf(request)
    if (given === null) return refuse(response)
    const browser = await cookie.read(request)
    const verdict = await guessLimit.judge('password', request, {
      isRight: equalSecrets(given, expected),
      browser,
    })
    if (verdict.kind === 'over_limit') return refuseForNow(response, verdict.retryAfterSeconds)
    if (verdict.kind === 'wrong') return refuse(response)
    if (browser === null) await cookie.set(response, { secure: isSecure, path: basePathOf(request) || '/' })
    next()
  }
}

function credentialsOf(request: Request): string | null {
  const [, encoded] = /^basic +([\w+/=-]+) *$/i.exec(request.get('Authorization') ?? '') ?? []
  return encoded === undefined ? null : Buffer.from(encoded, 'base64').toString('utf8')
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
