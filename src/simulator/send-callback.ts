// Owns one status callback on the wire: signature, headers, time-outs and further tries.
// When it is sent, and how many at once, is left to callback-queue.ts.
import http from 'node:http'
import https from 'node:https'
import webhooks from 'twilio/lib/webhooks/webhooks.js'
import { type RetryReason, readConnectionOverrides, type TimeoutDefaults } from './connection-overrides.ts'

export interface StatusCallback {
  url: string
  fields: Record<string, string>
  /** The same for every try and every copy of one callback. */
  idempotencyToken: string
}

export interface SendCallbackOptions extends TimeoutDefaults {
  /** Asked at every try. */
  authToken: () => string
  agents: { http: http.Agent; https: https.Agent }
  signal: AbortSignal
}

export type CallbackResult = { tries: number } & (
  | { answerStatus: number; error: null }
  | { answerStatus: null; error: string }
)

type TryResult =
  | { kind: 'answered'; status: number }
  | { kind: 'not_connected' | 'not_answered' | 'out_of_time'; error: string }

interface Timeouts {
  connectMs: number
  /** From the connection to the end of the answer. */
  answerMs: number
  /** What is left for this try, of the time for all of them. */
  restMs: number
}

/**
 * Never rejects for what the receiver does. The fragment of the callback's URL says what is tried again, at once
 * and with the same token; without one that is a connection that could not be made, once. A redirect is the end.
 */
export async function sendCallback(
  callback: StatusCallback,
  options: SendCallbackOptions,
): Promise<CallbackResult> {
  // What is signed must be what is sent, so both come from the parsed URL. The fragment is Twilio's own
  // affair: neither sent nor signed.
  const target = new URL(callback.url)
  const overrides = readConnectionOverrides(target.hash, options)
  target.hash = ''

  const endMs = performance.now() + overrides.totalTimeoutMs
  let restMs = overrides.totalTimeoutMs
  let tries = 0
  let result: TryResult
  let again: boolean
  do {
    tries += 1
    const timeouts = {
      connectMs: overrides.connectTimeoutMs,
      answerMs: overrides.answerTimeoutMs,
      restMs,
    }
    result = await tryOnce(target, callback, timeouts, options)
    restMs = endMs - performance.now()
    const reason = retryReason(result)
    again = reason !== null && overrides.retryOn.includes(reason) && restMs > 0 && !options.signal.aborted
  } while (again && tries <= overrides.retryCount)
  return result.kind === 'answered'
    ? { tries, answerStatus: result.status, error: null }
    : { tries, answerStatus: null, error: result.error }
}

/** Null if nothing went wrong, or nothing that could be tried again. */
function retryReason(result: TryResult): RetryReason | null {
  switch (result.kind) {
    case 'not_connected':
      return 'ct'
    // Twilio has no word for a connection that breaks off before the answer; this is the nearest.
    case 'not_answered':
      return 'rt'
    case 'out_of_time':
      return null
    case 'answered':
      if (result.status >= 500) return '5xx'
      return result.status >= 400 ? '4xx' : null
  }
}

function tryOnce(
  target: URL,
  { fields, idempotencyToken }: StatusCallback,
  { connectMs, answerMs, restMs }: Timeouts,
  { authToken, agents, signal }: SendCallbackOptions,
): Promise<TryResult> {
  const secure = target.protocol === 'https:'
  const body = new URLSearchParams(fields).toString()

  return new Promise((resolve) => {
    let connected = false
    let outOfTime = false
    let result: TryResult = { kind: 'not_answered', error: 'the connection was closed without an answer' }
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
        'X-Twilio-Signature': webhooks.getExpectedTwilioSignature(authToken(), target.href, fields),
      },
    })
    const connectTimer = setTimeout(() => {
      request.destroy(new Error(`no connection within ${connectMs} ms`))
    }, connectMs)
    const totalTimer = setTimeout(() => {
      outOfTime = true
      request.destroy(new Error('no answer within the time for all tries'))
    }, restMs)
    let answerTimer: NodeJS.Timeout | undefined
    const onConnected = () => {
      connected = true
      clearTimeout(connectTimer)
      answerTimer = setTimeout(() => {
        request.destroy(new Error(`no answer within ${answerMs} ms`))
      }, answerMs)
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
      const kind = outOfTime ? 'out_of_time' : connected && !dead ? 'not_answered' : 'not_connected'
      result = { kind, error: describe(error) }
    })
    request.on('close', () => {
      clearTimeout(connectTimer)
      clearTimeout(answerTimer)
      clearTimeout(totalTimer)
      resolve(result)
    })
    request.end(body)
  })
}

function describe(error: NodeJS.ErrnoException): string {
  // Connecting to a name with several addresses fails with an AggregateError that has no message of its own.
  return error.message === '' ? (error.code ?? error.name) : error.message
}
