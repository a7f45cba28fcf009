// The HTTP below the twilio package, over undici: a limit on each whole request, and errors that say whether Twilio can
// have seen it. What an answer means is not known here.
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

/** What the twilio package hands over. */
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

/** There is no whole answer. */
export class RequestError extends Error {
  readonly code: string
  /** False if the request was certainly not sent as a whole: then nobody has processed it. */
  readonly maybeSent: boolean
  constructor(message: string, details: { code: string; maybeSent: boolean; cause?: unknown }) {
    super(message, { cause: details.cause })
    this.code = details.code
    this.maybeSent = details.maybeSent
  }
}

const TIMEOUT_MS = REQUEST_TIMEOUT_SECONDS * 1000

/** Many times what a page of the message list has. */
const MAX_RESPONSE_BYTES = 16 * 2 ** 20

/** Each time certainly not sent, because its connection had been closed while it was idle. */
const MAX_TRIES = 4

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

/** When the first request is about to be made, and once for all clients of the process. */
export function loadUndici(): Promise<Undici> {
  loaded ??= import('undici')
  return loaded
}

/** So long a connection is kept while it is idle: most servers keep theirs for five seconds or more. */
const MAX_IDLE_MS = 4_000
/** After so many requests on which the server closed no connection first, connections are kept twice as long again. */
const TRUSTED_AFTER_REQUESTS = 1_000

/** @param connections how many it opens at most; further requests wait, within their time-out */
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
      // A server's own hint shortens it only.
      keepAliveMaxTimeout: idleMs,
      // The limit on the whole request is below.
      headersTimeout: 0,
      bodyTimeout: 0,
      maxResponseSize: MAX_RESPONSE_BYTES,
    })
    // A request that meets the end of its connection is in doubt: so whenever the server is the first to close one, all
    // are kept half as long, until we are the first. Many that are closed at once count once.
    opened.on('disconnect', (_origin, _targets, error) => {
      if (error.code !== CLOSED_BY_US && opened === agent) reopen(idleMs / 2)
    })
    return opened
  }

  function reopen(nextIdleMs: number): void {
    idleMs = Math.min(Math.max(nextIdleMs, 1), MAX_IDLE_MS)
    requests = 0
    // What is under way, or waits, comes to its end.
    void agent.close()
    agent = open()
  }

  return {
    async request(request) {
      requests += 1
      if (requests > TRUSTED_AFTER_REQUESTS && idleMs < MAX_IDLE_MS) reopen(idleMs * 2)
      const limit = new Limit()
      try {
        for (let tries = 1; ; tries += 1) {
          try {
            return await dispatch(agent, toOptions(request), limit)
          } catch (error) {
            const isStale = error instanceof RequestError && error.code === WRITE_FAILED
            if (!isStale || tries === MAX_TRIES) throw error
          }
        }
      } finally {
        limit.end()
      }
    },
  }
}

/** undici's code for connections that it ends itself: idle for too long, aborted, or not to be kept. */
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

/** A list is its name with each of its values. */
function toPairs(fields: object = {}): [string, string][] {
  return Object.entries(fields).flatMap(([name, value]) =>
    [value].flat().flatMap((each): [string, string][] => (each == null ? [] : [[name, String(each)]])),
  )
}

/** A request's own time, over all its tries. */
class Limit {
  isOver = false
  /** Called once, if the time is over. */
  onOver: () => void = () => undefined
  readonly #timer = setTimeout(() => {
    this.isOver = true
    this.onOver()
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
  limit: Limit,
): Promise<HttpResponse> {
  return new Promise((resolve, reject) => {
    /** Set just before the first byte is written. */
    let started: Dispatcher.DispatchController | null = null
    let head: Pick<HttpResponse, 'statusCode' | 'headers'> = { statusCode: 0, headers: {} }
    const chunks: Buffer[] = []
    const late = (): RequestError =>
      new RequestError(started === null ? NO_CONNECTION : NO_ANSWER, {
        code: 'ETIMEDOUT',
        maybeSent: started !== null,
      })
    limit.onOver = () => {
      const error = late()
      reject(error)
      // Ends its connection. One that waits for a connection is not sent when it gets one.
      started?.abort(error)
    }
    agent.dispatch(options, {
      onRequestStart(controller) {
        if (limit.isOver) controller.abort(late())
        else started = controller
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
        reject(toRequestError(error, started !== null))
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
  // The kernel did not take all of it over, and nobody processes a part.
  if (error.syscall === 'write') {
    const message = `the connection was closed before the request was sent (${code})`
    return new RequestError(message, { code: WRITE_FAILED, maybeSent: false, cause: error })
  }
  // Named as Node's own client does: the connection ended before the answer did.
  const known = code === 'UND_ERR_SOCKET' ? 'ECONNRESET' : code
  return new RequestError(known, { code: known, maybeSent: true, cause: error })
}
