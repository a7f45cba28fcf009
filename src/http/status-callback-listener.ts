// The status callback endpoint for node:http and every framework that is built on it.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { finished, type Readable } from 'node:stream'
import { STATUS_CALLBACK_PATH } from '../twilio/status-callback.ts'
import type { AnswerCallback, CallbackAnswer, CallbackRequest } from './status-callback-endpoint.ts'

/**
 * Middleware of Express 4, Express 5, Nest or Connect; without `next`, a listener of `node:http`. The types of node:http
 * fit both versions of Express.
 */
export type StatusCallbackRouter = (
  request: IncomingMessage,
  response: ServerResponse,
  next?: (error?: unknown) => void,
) => void

/** With `next`, passes on every request to another path. Without it, answers every request. */
export function statusCallbackListener(answer: AnswerCallback): StatusCallbackRouter {
  return (request, response, next) => {
    const target = pathAndQuery(request.url ?? '')
    const queryStart = target.indexOf('?')
    const path = queryStart === -1 ? target : target.slice(0, queryStart)
    if (next !== undefined && path !== STATUS_CALLBACK_PATH) return next()
    const search = queryStart === -1 ? '' : target.slice(queryStart)
    answer(callbackRequest(request, search))
      .then((answered) => write(response, answered))
      // Middleware of the app may have replaced methods of the response, and its code may throw.
      .catch((error: Error) => (next === undefined ? response.destroy(error) : next(error)))
  }
}

/** Express has removed the mount point. The origin of an absolute request target (RFC 9112, 3.2.2) is dropped. */
function pathAndQuery(url: string): string {
  return url.startsWith('/') ? url : url.replace(/^https?:\/\/[^/?#]*/i, '')
}

function callbackRequest(request: IncomingMessage, search: string): CallbackRequest {
  const { headers } = request
  return {
    method: request.method ?? '',
    search,
    address: request.socket.remoteAddress,
    header: (name) => headers[name]?.toString(),
    body: isUnread(request) ? { unread: request } : { parsed: (request as { body?: unknown }).body },
    discard: readToEnd,
  }
}

/** Some parsers set `body` without reading: for other types, Express 4 sets an empty object. */
function isUnread(request: IncomingMessage): boolean {
  return !request.readableDidRead && !request.readableEnded && request.readableEncoding === null
}

/** Many clients send the whole request before they read the answer, and reuse the connection. */
function readToEnd(request: Readable): Promise<void> {
  return new Promise((resolve) => {
    // The request is refused in any case, also if the client breaks it off.
    finished(request, { writable: false }, () => resolve())
    request.resume()
  })
}

function write(response: ServerResponse, { status, headers, body }: CallbackAnswer): void {
  // A time-out of the app may have answered in the meantime.
  if (response.headersSent) return
  response.statusCode = status
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
  response.end(body)
}
