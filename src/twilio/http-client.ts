// The HTTP client of the twilio package, built on undici. Each request has a time limit, and errors say whether Twilio
// may have received it. This file does not interpret answers.
import { readFileSync } from 'node:fs'
import type { Agent, Dispatcher } from 'undici'
import type { TwilioConfig } from '../config/config.ts'
import { REQUEST_TIMEOUT_SECONDS } from '../delivery/reconcile-time.ts'
import { ConfigError } from '../shared/errors.ts'
import { createConnector, NotConnectedError } from './connect.ts'

export interface HttpResponse {
  readonly statusCode: number
  readonly body: string
  readonly headers: Readonly<Record<string, unknown>>
}

/** A request as the twilio package passes it. */
export interface HttpRequest {
  readonly method: string
  readonly uri: string
  readonly username?: string
  readonly password?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly params?: object
  readonly data?: object
}

export interface HttpClient {
  /** @throws RequestError */
  request(request: HttpRequest): Promise<HttpResponse>
}

/** The request received no complete answer. */
export class RequestError extends Error {
  readonly code: string
  /** False if the request was not sent completely: Twilio then has not processed it. */
  readonly maybeSent: boolean
  constructor(message: string, details: { code: string; maybeSent: boolean; cause?: unknown }) {
    super(message, { cause: details.cause })
    this.code = details.code
    this.maybeSent = details.maybeSent
  }
}

const TIMEOUT_MS = REQUEST_TIMEOUT_SECONDS * 1000

/** Far more than a page of the message list. */
const MAX_RESPONSE_BYTES = 16 * 2 ** 20

/**
 * If the server has closed an idle connection, a request on it fails before it is sent. The request then tries another
 * connection.
 */
const MAX_CONNECTIONS_TRIED = 4

/** @throws ConfigError if TWILIO_CA_BUNDLE cannot be read */
export function readCertificates({ caBundle }: TwilioConfig): Buffer | null {
  if (caBundle === null) return null
  try {
    return readFileSync(caBundle)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new ConfigError(
      `TWILIO_CA_BUNDLE cannot be read (${code}); it must be a file of PEM certificates`,
      {
        cause: error,
      },
    )
  }
}

type Undici = typeof import('undici')

let loaded: Promise<Undici> | undefined

/** Loads undici with the first request, once for all clients of the process. */
export function loadUndici(): Promise<Undici> {
  loaded ??= import('undici')
  return loaded
}

/** Idle connections are kept for this time. Most servers keep theirs for at least five seconds. */
const MAX_IDLE_MS = 4_000
/** If the server closes no connection during this many requests, idle connections are kept twice as long. */
const LENGTHEN_AFTER_REQUESTS = 1_000

/** @param connections the maximum; further requests wait for one, within their time limit */
export async function createHttpClient(
  certificates: Buffer | null,
  connections: number,
): Promise<HttpClient> {
  const undici = await loadUndici()
  const connect = createConnector(undici, { certificates, timeoutMs: TIMEOUT_MS })
  let idleMs = MAX_IDLE_MS
  let requests = 0
  let agent = open()

  function open(): Agent {
    const opened = new undici.Agent({
      connections,
      connect,
      keepAliveTimeout: idleMs,
      // A Keep-Alive header of the server can only shorten this time.
      keepAliveMaxTimeout: idleMs,
      // `RequestTimer` covers the whole request.
      headersTimeout: 0,
      bodyTimeout: 0,
      maxResponseSize: MAX_RESPONSE_BYTES,
    })
    // A request is in doubt if its connection is being closed. So when the server closes an idle connection before we
    // do, all are kept half as long. Connections that are closed together count once.
    opened.on('disconnect', (_origin, _targets, error) => {
      if (error.code !== CLOSED_BY_US && opened === agent) reopen(idleMs / 2)
    })
    return opened
  }

  function reopen(nextIdleMs: number): void {
    idleMs = Math.min(Math.max(nextIdleMs, 1), MAX_IDLE_MS)
    requests = 0
    // Running and queued requests still finish.
    void agent.close()
    agent = open()
  }

  return {
    async request(request) {
      requests += 1
      if (requests > LENGTHEN_AFTER_REQUESTS && idleMs < MAX_IDLE_MS) reopen(idleMs * 2)
      const timer = new RequestTimer()
      try {
        for (let tries = 1; ; tries += 1) {
          try {
            return await dispatch(agent, toOptions(request), timer)
          } catch (error) {
            const isStale = error instanceof RequestError && error.code === WRITE_FAILED
            if (!isStale || tries === MAX_CONNECTIONS_TRIED) throw error
          }
        }
      } finally {
        timer.end()
      }
    },
  }
}

/** undici's code for connections that it closes itself: idle for too long, aborted, or not reusable. */
const CLOSED_BY_US = 'UND_ERR_INFO'

function toOptions(request: HttpRequest): Dispatcher.DispatchOptions {
  const { origin, pathname, searchParams } = new URL(request.uri)
  for (const [name, value] of toPairs(request.params)) searchParams.append(name, value)
  const query = searchParams.size === 0 ? '' : `?${searchParams.toString()}`
  const credentials = Buffer.from(`${request.username}:${request.password}`).toString('base64')
  return {
    origin,
    path: pathname + query,
    method: request.method.toUpperCase() as Dispatcher.HttpMethod,
    headers: { ...request.headers, authorization: `Basic ${credentials}` },
    ...(request.data === undefined ? {} : { body: new URLSearchParams(toPairs(request.data)).toString() }),
  }
}

/** Each value of a list becomes a pair with the same name. */
function toPairs(fields: object = {}): [string, string][] {
  return Object.entries(fields).flatMap(([name, value]) =>
    [value].flat().flatMap((each): [string, string][] => (each == null ? [] : [[name, String(each)]])),
  )
}

/** The time limit of one request, across all connections that it tries. */
class RequestTimer {
  hasTimedOut = false
  /** Called once, when the time has run out. */
  onTimeout: () => void = () => undefined
  readonly #timer = setTimeout(() => {
    this.hasTimedOut = true
    this.onTimeout()
  }, TIMEOUT_MS)

  end(): void {
    clearTimeout(this.#timer)
  }
}

const NO_ANSWER = `no answer within ${REQUEST_TIMEOUT_SECONDS} s`
const NO_CONNECTION = `no connection within ${REQUEST_TIMEOUT_SECONDS} s`
const WRITE_FAILED = 'WRITE_FAILED'

function dispatch(
  agent: Dispatcher,
  options: Dispatcher.DispatchOptions,
  timer: RequestTimer,
): Promise<HttpResponse> {
  return new Promise((resolve, reject) => {
    /** Set just before undici writes the first byte. */
    let activeRequest: Dispatcher.DispatchController | null = null
    let head: Pick<HttpResponse, 'statusCode' | 'headers'> = { statusCode: 0, headers: {} }
    const chunks: Buffer[] = []
    const timeoutError = (): RequestError =>
      new RequestError(activeRequest === null ? NO_CONNECTION : NO_ANSWER, {
        code: 'ETIMEDOUT',
        maybeSent: activeRequest !== null,
      })
    timer.onTimeout = () => {
      const error = timeoutError()
      reject(error)
      // Closes the connection. A request that still waits for a connection is aborted when it gets one.
      activeRequest?.abort(error)
    }
    agent.dispatch(options, {
      onRequestStart(controller) {
        if (timer.hasTimedOut) controller.abort(timeoutError())
        else activeRequest = controller
      },
      onResponseStart(_controller, statusCode, headers) {
        head = { statusCode, headers }
      },
      onResponseData(_controller, chunk) {
        chunks.push(chunk)
      },
      onResponseEnd() {
        resolve({ ...head, body: Buffer.concat(chunks).toString() })
      },
      onResponseError(_controller, error) {
        reject(toRequestError(error, activeRequest !== null))
      },
    })
  })
}

function toRequestError(
  error: Error & { code?: unknown; syscall?: unknown },
  isStarted: boolean,
): RequestError {
  if (error instanceof RequestError) return error
  const code = typeof error.code === 'string' ? error.code : error.name
  if (!isStarted) {
    const message = error instanceof NotConnectedError ? error.message : `no connection (${code})`
    return new RequestError(message, { code, maybeSent: false, cause: error })
  }
  // The kernel did not accept the whole request, and Twilio does not process an incomplete one.
  if (error.syscall === 'write') {
    const message = `the connection was closed before the request was sent (${code})`
    return new RequestError(message, { code: WRITE_FAILED, maybeSent: false, cause: error })
  }
  // The connection closed before the answer was complete. Node's own client uses the code ECONNRESET.
  const known = code === 'UND_ERR_SOCKET' ? 'ECONNRESET' : code
  return new RequestError(known, { code: known, maybeSent: true, cause: error })
}
