// GET /metrics, protected by a bearer token.
import type { RequestHandler, Response } from 'express'
import { Exposition, type ExpositionDeps } from './exposition.ts'
import type { HealthWatch } from '../processes/health-watch.ts'
import type { Instance } from '../processes/instance.ts'
import { errorFields } from '../shared/log.ts'
import { equalSecrets } from './equal-secrets.ts'
import type { GuessLimit } from './guess-limit.ts'

const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** Handles every method, and refuses all but GET and HEAD. */
export function metricsRoute(
  token: string,
  deps: ExpositionDeps,
  instance: Instance,
  guessLimit: GuessLimit,
  health?: HealthWatch,
): RequestHandler {
  const exposition = new Exposition(deps, instance, health)
  return async (request, response) => {
    const { method, headers } = request
    if (method !== 'GET' && method !== 'HEAD') {
      response.set('Allow', 'GET, HEAD').status(405).end()
      return
    }
    const given = tokenOf(headers.authorization ?? '')
    if (given === null) return refuse(response)
    const verdict = await guessLimit.judge('token', request, { isRight: equalSecrets(given, token) })
    if (verdict.kind === 'wrong') return refuse(response)
    if (verdict.kind === 'over_limit') {
      response
        .set('Retry-After', `${verdict.retryAfterSeconds}`)
        .status(429)
        .type('text/plain')
        .send(TOO_MANY)
      return
    }
    try {
      const text = await exposition.read()
      response.set('Cache-Control', 'no-store').type(CONTENT_TYPE).send(text)
    } catch (error) {
      deps.logger.error('Metrics failed', errorFields(error))
      response.status(500).type('text/plain').send('Internal error\n')
    }
  }
}

const TOO_MANY = 'Too many wrong tokens; try again in a minute\n'

/** RFC 6750, 2.1. */
function tokenOf(authorization: string): string | null {
  return /^Bearer +(\S+) *$/i.exec(authorization)?.[1] ?? null
}

function refuse(response: Response): void {
  response.set('WWW-Authenticate', 'Bearer').status(401).type('text/plain').send('Unauthorized\n')
}
