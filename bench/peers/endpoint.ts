// What all peers have in common: an Express endpoint for status callbacks that checks the signature as the product does.
// A peer adds what it does with a callback.
import express, { type Request } from 'express'
import { isSignedByTwilio } from '../../src/twilio/signature.ts'

export interface Callback {
  readonly messageId: number
  readonly attempt: number
  readonly status: string
  readonly errorCode: number | null
  readonly errorText: string | null
}

export function required(name: string): string {
  const value = process.env[name]
  if (value === undefined) throw new Error(`${name} is not set`)
  return value
}

/** @param record resolves once the callback is durable */
export function serve(record: (callback: Callback) => Promise<void>): void {
  const authTokens = [required('TWILIO_AUTH_TOKEN')]
  const publicBaseUrl = required('PUBLIC_BASE_URL')
  const app = express()
  app.disable('x-powered-by').disable('etag')
  app.get('/readyz', (_request, response) => {
    response.send('ready\n')
  })
  app.post('/twilio/status', express.urlencoded({ extended: false }), async (request, response) => {
    const signature = request.get('X-Twilio-Signature')
    if (!isSignedByTwilio(authTokens, signature, publicBaseUrl + request.url, request.body)) {
      response.status(403).end()
      return
    }
    await record(callbackOf(request))
    response.status(204).end()
  })
  const server = app.listen(Number(required('PORT')), '127.0.0.1')
  process.once('SIGTERM', () => {
    server.close()
    server.closeAllConnections()
    process.exit(0)
  })
}

function callbackOf({ query, body }: Request): Callback {
  return {
    messageId: Number(query['message']),
    attempt: Number(query['attempt']),
    status: body.MessageStatus,
    errorCode: Number(body.ErrorCode) || null,
    errorText: body.ErrorMessage ?? null,
  }
}
