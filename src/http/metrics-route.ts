// GET /metrics, for whoever has the token.
import { createHash, timingSafeEqual } from 'node:crypto'
import type { RequestHandler } from 'express'
import { Exposition } from '../exposition.ts'
import type { Instance, InstanceDeps } from '../instance.ts'
import { errorFields } from '../log.ts'

const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** For every method: what is not asked for with GET is refused. */
export function metricsRoute(token: string, deps: InstanceDeps, instance: Instance): RequestHandler {
  const exposition = new Exposition(deps, instance)
  const expected = sha256(token)
  return async ({ method, headers }, response) => {
    if (method !== 'GET' && method !== 'HEAD') {
      response.set('Allow', 'GET, HEAD').status(405).end()
    } else if (!hasToken(headers.authorization ?? '', expected)) {
      response.set('WWW-Authenticate', 'Bearer').status(401).type('text/plain').send('Unauthorized\n')
    } else {
      try {
        const text = await exposition.read()
        response.set('Cache-Control', 'no-store').type(CONTENT_TYPE).send(text)
      } catch (error) {
        deps.logger.error('Metrics could not be read', errorFields(error))
        response.status(500).type('text/plain').send('Internal error\n')
      }
    }
  }
}

/**
 * RFC 6750, 2.1. Hashes are compared, in constant time: neither how much of a guess was right nor how long the token is
 * can be measured.
 */
function hasToken(authorization: string, expected: Buffer): boolean {
  const [, given] = /^Bearer +(\S+) *$/i.exec(authorization) ?? []
  return given !== undefined && timingSafeEqual(sha256(given), expected)
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
