// Sends one status callback: signature, headers, time-outs and retries. callback-queue.ts decides when.
import http from 'node:http'
import https from 'node:https'
import { TLSSocket } from 'node:tls'
import webhooks from 'twilio/lib/webhooks/webhooks.js'
import { type RetryReason, readConnectionOverrides, type TimeoutDefaults } from './connection-overrides.ts'

export interface StatusCallback {
  url: string
  fields: Record<string, string>
  /** The same for all tries and duplicates of one callback. */
  idempotencyToken: string
}

export interface SendCallbackOptions extends TimeoutDefaults {
  /** Called for every try. */
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
  /** The time left for all tries together. */
  remainingMs: number
}

/**
 * Failures of the receiver are results, not rejections. The fragment of the callback URL says which of them are retried,
 * immediately and with the same token. By default, a failed connection is retried once. Redirects are not followed.
 */
export async function sendCallback(
  callback: StatusCallback,
  options: SendCallbackOptions,
): Promise<CallbackResult> {
  // The signed URL must be the requested one, so both come from the parsed URL. The fragment is neither sent nor signed.
  const target = new URL(callback.url)
  const overrides = readConnectionOverrides(target.hash, options)
  target.hash = ''

  const endMs = performance.now() + overrides.totalTimeoutMs
  let remainingMs = overrides.totalTimeoutMs
  let tries = 0
  let result: TryResult
  let shouldRetry: boolean
  do {
    tries += 1
    const timeouts = {
      connectMs: overrides.connectTimeoutMs,
      answerMs: overrides.answerTimeoutMs,
      remainingMs,
    }
    result = await tryOnce(target, callback, timeouts, options)
    remainingMs = endMs - performance.now()
    const reason = retryReason(result)
    shouldRetry =
      reason !== null && overrides.retryOn.includes(reason) && remainingMs > 0 && !options.signal.aborted
  } while (shouldRetry && tries <= overrides.retryCount)
  return result.kind === 'answered'
    ? { tries, answerStatus: result.status, error: null }
    : { tries, answerStatus: null, error: result.error }
}

/** Null if nothing failed, or if no time is left. */
function retryReason(result: TryResult): RetryReason | null {
  switch (result.kind) {
    case 'not_connected':
      return 'ct'
    // Twilio has no name for a connection that breaks before the answer; this is the closest.
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
  callback: StatusCallback,
  timeouts: Timeouts,
  options: SendCallbackOptions,
): Promise<TryResult> {
  const body = new URLSearchParams(callback.fields).toString()
  return new Promise((resolve) => {
    const request = startRequest(target, callback, Buffer.byteLength(body), options)
    const limits = limitTime(request, timeouts)
    let result: TryResult = { kind: 'not_answered', error: 'the connection was closed without an answer' }
    request.on('response', (response) => {
      result = { kind: 'answered', status: response.statusCode ?? 0 }
      // Only the status counts: a body that breaks off changes nothing.
      response.on('error', () => {})
      response.resume()
    })
    request.on('error', (error: NodeJS.ErrnoException) => {
      if (result.kind === 'answered') return
      // A kept-alive connection that turns out to be dead counts as no connection.
      const isDead = request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
      const wasConnected = limits.isConnected() && !isDead
      const kind = limits.isOutOfTime() ? 'out_of_time' : wasConnected ? 'not_answered' : 'not_connected'
      result = { kind, error: describe(error) }
    })
    request.on('close', () => {
      limits.stop()
      resolve(result)
    })
    request.end(body)
  })
}

function startRequest(
  target: URL,
  { fields, idempotencyToken }: StatusCallback,
  contentLength: number,
  { authToken, agents, signal }: SendCallbackOptions,
): http.ClientRequest {
  const isSecure = target.protocol === 'https:'
  return (isSecure ? https : http).request(target, {
    method: 'POST',
    agent: isSecure ? agents.https : agents.http,
    signal,
    headers: {
      'Content-Type': 'application/x-www-form-urlencoded; charset=UTF-8',
      'Content-Length': contentLength,
      Accept: '*/*',
      'User-Agent': 'TwilioProxy/1.1',
      'I-Twilio-Idempotency-Token': idempotencyToken,
      'X-Twilio-Signature': webhooks.getExpectedTwilioSignature(authToken(), target.href, fields),
    },
  })
}

/** Destroys the request when one of its time-outs is reached. */
function limitTime(request: http.ClientRequest, { connectMs, answerMs, remainingMs }: Timeouts) {
  let isConnected = false
  let isOutOfTime = false
  const destroyAfter = (delayMs: number, reason: string, onDestroy = () => {}): NodeJS.Timeout =>
    setTimeout(() => {
      onDestroy()
      request.destroy(new Error(reason))
    }, delayMs)
  const connectTimer = destroyAfter(connectMs, `no connection within ${connectMs} ms`)
  const totalTimer = destroyAfter(remainingMs, 'no answer within the time for all tries', () => {
    isOutOfTime = true
  })
  let answerTimer: NodeJS.Timeout | undefined
  const onConnected = (): void => {
    isConnected = true
    clearTimeout(connectTimer)
    answerTimer = destroyAfter(answerMs, `no answer within ${answerMs} ms`)
  }
  request.on('socket', (socket) => {
    if (socket.connecting) socket.once(socket instanceof TLSSocket ? 'secureConnect' : 'connect', onConnected)
    else onConnected()
  })
  return {
    isConnected: () => isConnected,
    isOutOfTime: () => isOutOfTime,
    stop() {
      for (const timer of [connectTimer, answerTimer, totalTimer]) clearTimeout(timer)
    },
  }
}

function describe(error: NodeJS.ErrnoException): string {
  // If a host name has several addresses and all fail, the error is an AggregateError without a message.
  return error.message === '' ? (error.code ?? error.name) : error.message
}
