// GET /metrics, for whoever has the token.
import { createHash, timingSafeEqual } from 'node:crypto'
import type { RequestHandler, Response } from 'express'
import { Exposition } from './exposition.ts'
import type { Instance, InstanceDeps } from '../processes/instance.ts'
import { errorFields } from '../shared/log.ts'
import type { GuessLimit } from './guess-limit.ts'

const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** For every method: what is not asked for with GET is refused. */
export function metricsRoute(
  token: string,
  deps: InstanceDeps,
  instance: Instance,
  guessLimit: GuessLimit,
): RequestHandler {
  const exposition = new Exposition(deps, instance)
  const expected = sha256(token)
  return async (request, response) => {
    const { method, headers } = request
    if (method !== 'GET' && method !== 'HEAD') {
      response.set('Allow', 'GET, HEAD').status(405).end()
      return
    }
    const given = tokenOf(headers.authorization ?? '')
    if (given === null) return refuse(response)
    // Hashes are compared, in constant time: neither how much of a guess was right nor how long the token is can be
    // measured.
    const isRight = timingSafeEqual(sha256(given), expected)
    const judged = await guessLimit.judge('token', request, { isRight })
    if (judged.verdict === 'wrong') return refuse(response)
    if (judged.verdict === 'over the limit') {
      response.set('Retry-After', `${judged.retryAfterSeconds}`).status(429).type('text/plain').send(TOO_MANY)
      return
    }
    try {
      const text = await exposition.read()
      response.set('Cache-Control', 'no-store').type(CONTENT_TYPE).send(text)
    } catch (error) {
      deps.logger.error('Metrics could not be read', errorFields(error))
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

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
