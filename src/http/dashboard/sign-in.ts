// Basic authentication for the dashboard. Guessing is limited, but guesses of others do not lock out a browser that has
// signed in before.
import type { Request, RequestHandler, Response } from 'express'
import { html } from '../../shared/html.ts'
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
    if (given === null) return refuse(request, response)
    const browser = await cookie.read(request)
    const verdict = await guessLimit.judge('password', request, {
      isRight: equalSecrets(given, expected),
      browser,
    })
    if (verdict.kind === 'over_limit') return refuseForNow(request, response, verdict.retryAfterSeconds)
    if (verdict.kind === 'wrong') return refuse(request, response)
    if (browser === null) await cookie.set(response, { secure: isSecure, path: basePathOf(request) || '/' })
    next()
  }
}

function credentialsOf(request: Request): string | null {
  const [, encoded] = /^basic +([\w+/=-]+) *$/i.exec(request.get('Authorization') ?? '') ?? []
  return encoded === undefined ? null : Buffer.from(encoded, 'base64').toString('utf8')
}

const SIGN_IN = 'Sign in with DASHBOARD_USERNAME and DASHBOARD_PASSWORD'
const WAIT = 'Too many wrong passwords; try again in a minute'

function refuse(request: Request, response: Response): void {
  response.status(401).set('WWW-Authenticate', 'Basic realm="sms-retry", charset="UTF-8"')
  answer(request, response, SIGN_IN)
}

function refuseForNow(request: Request, response: Response, retryAfterSeconds: number): void {
  response.status(429).set('Retry-After', `${retryAfterSeconds}`)
  answer(request, response, WAIT)
}

/** A browser shows the page when a person closes its sign-in dialog. Style sheets are behind the sign-in. */
function answer(request: Request, response: Response, sentence: string): void {
  if (request.accepts(['text', 'html']) !== 'html') {
    response.type('text/plain').send(`${sentence}\n`)
    return
  }
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in · sms-retry</title>
</head>
<body>
<main>
<h1>sms-retry</h1>
<p>${sentence}.</p>
<p><a href="">Try again</a></p>
</main>
</body>
</html>
`
  response.type('html').send(page.text)
}
