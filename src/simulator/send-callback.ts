// Owns one status callback on the wire: signature, headers, time-outs and Twilio's single further try.
// When it is sent, and how many at once, is left to callback-queue.ts.
import http from 'node:http'
import https from 'node:https'
import webhooks from 'twilio/lib/webhooks/webhooks.js'

export interface StatusCallback {
  url: string
  fields: Record<string, string>
  /** The same for every try and every copy of one callback. */
  idempotencyToken: string
}

export interface SendCallbackOptions {
  authToken: string
  connectTimeoutMs: number
  /** For everything from the start of a try to the end of the answer. */
  answerTimeoutMs: number
  agents: { http: http.Agent; https: https.Agent }
  signal: AbortSignal
}

export type CallbackResult = { tries: number } & (
  | { answerStatus: number; error: null }
  | { answerStatus: null; error: string }
)

type TryResult =
  | { kind: 'answered'; status: number }
  | { kind: 'not_connected'; error: string }
  | { kind: 'failed'; error: string }

/**
 * Never rejects for what the receiver does. Only a connection that could not be made is tried once more; a
 * slow answer, a reset, a redirect or a 5xx is the end, as with Twilio unless the URL's fragment asks for more.
 */
export async function sendCallback(
  callback: StatusCallback,
  options: SendCallbackOptions,
): Promise<CallbackResult> {
  let tries = 0
  let result: TryResult
  do {
    tries += 1
    result = await tryOnce(callback, options)
  } while (result.kind === 'not_connected' && tries < 2 && !options.signal.aborted)
  return result.kind === 'answered'
    ? { tries, answerStatus: result.status, error: null }
    : { tries, answerStatus: null, error: result.error }
}

function tryOnce(
  { url, fields, idempotencyToken }: StatusCallback,
  { authToken, connectTimeoutMs, answerTimeoutMs, agents, signal }: SendCallbackOptions,
): Promise<TryResult> {
  // What is signed must be what is sent, so both come from the parsed URL. The fragment is Twilio's own
  // affair: neither sent nor signed.
  const target = new URL(url)
  target.hash = ''
  const secure = target.protocol === 'https:'
  const body = new URLSearchParams(fields).toString()

  return new Promise((resolve) => {
    let connected = false
    let result: TryResult = { kind: 'failed', error: 'the connection was closed without an answer' }
    const request = (secure ? https : http).request(target, {
      method: 'POST',
      agent: secure ? agents.https : agents.http,
      signal,
      headers: {
        'Content-Type': 'application/x-www-form-urlencoded; charset=UTF-8',
        'Content-Length': Buffer.byteLength(body),
        Accept: '*/*',
        'User-Agent': 'TwilioProxy/1.1',
        'I-Twilio-Idempotency-Token': idempotencyToken,
        'X-Twilio-Signature': webhooks.getExpectedTwilioSignature(authToken, target.href, fields),
      },
    })
    const connectTimer = setTimeout(() => {
      request.destroy(new Error(`no connection within ${connectTimeoutMs} ms`))
    }, connectTimeoutMs)
    const answerTimer = setTimeout(() => {
      request.destroy(new Error(`no answer within ${answerTimeoutMs} ms`))
    }, answerTimeoutMs)
    const onConnected = () => {
      connected = true
      clearTimeout(connectTimer)
    }
    request.on('socket', (socket) => {
      if (socket.connecting) socket.once(secure ? 'secureConnect' : 'connect', onConnected)
      else onConnected()
    })
    request.on('response', (response) => {
      result = { kind: 'answered', status: response.statusCode ?? 0 }
      // The status is all that counts: a body that breaks off changes nothing.
      response.on('error', () => {})
      response.resume()
    })
    request.on('error', (error: NodeJS.ErrnoException) => {
      if (result.kind === 'answered') return
      // A kept connection that turns out to be dead was never a connection to a live receiver.
      const dead = request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
      result = { kind: connected && !dead ? 'failed' : 'not_connected', error: describe(error) }
    })
    request.on('close', () => {
      clearTimeout(connectTimer)
      clearTimeout(answerTimer)
      resolve(result)
    })
    request.end(body)
  })
}

function describe(error: NodeJS.ErrnoException): string {
  // Connecting to a name with several addresses fails with an AggregateError that has no message of its own.
  return error.message === '' ? (error.code ?? error.name) : error.message
}
