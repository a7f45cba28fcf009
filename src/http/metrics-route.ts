// GET /metrics, for whoever has the token.
import { createHash, timingSafeEqual } from 'node:crypto'
import { type RequestHandler, Router } from 'express'
import type { Exposition } from '../exposition.ts'
import { errorFields, type Logger } from '../log.ts'

export const METRICS_PATH = '/metrics'
const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

export function metricsRoute(token: string, exposition: Pick<Exposition, 'read'>, logger: Logger): Router {
  const router = Router({ caseSensitive: true, strict: true })
  router.get(METRICS_PATH, requireToken(token), async (_request, response) => {
    try {
      const text = await exposition.read()
      response.set('Cache-Control', 'no-store').type(CONTENT_TYPE).send(text)
    } catch (error) {
      logger.error('Metrics could not be read', errorFields(error))
      response.status(500).type('text/plain').send('Internal error\n')
    }
  })
  router.all(METRICS_PATH, (_request, response) => {
    response.set('Allow', 'GET, HEAD').status(405).end()
  })
  return router
}

/** RFC 6750, 2.1. Hashes are compared, in constant time: how far a guess was right, or how long the token is, cannot be measured. */
function requireToken(token: string): RequestHandler {
  const expected = sha256(token)
  return (request, response, next) => {
    const [, given] = /^Bearer +(\S+) *$/i.exec(request.get('Authorization') ?? '') ?? []
    if (given !== undefined && timingSafeEqual(sha256(given), expected)) return next()
    response.set('WWW-Authenticate', 'Bearer').status(401).type('text/plain').send('Unauthorized\n')
  }
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
