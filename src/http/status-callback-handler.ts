// The status callback endpoint for frameworks with the types of fetch: Next.js, Hono, Bun, Deno.
import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import type { AnswerCallback, CallbackRequest } from './status-callback-endpoint.ts'

export type StatusCallbackHandler = (request: Request) => Promise<Response>

export function statusCallbackHandler(answer: AnswerCallback): StatusCallbackHandler {
  return async (request) => {
    const { status, headers, body } = await answer(callbackRequest(request))
    // A 204 must have no body, not even an empty one.
    return new Response(body === '' ? null : body, { status, headers })
  }
}

function callbackRequest(request: Request): CallbackRequest {
  const { headers, method, url } = request
  return {
    method,
    search: searchOf(url),
    // Requests of fetch do not reveal it.
    address: undefined,
    header: (name) => headers.get(name) ?? undefined,
    body: bodyOf(request),
    discard: async (unread) => {
      unread.destroy()
    },
  }
}

/** Unlike `new URL(url).search`, keeps a question mark that nothing follows: the signature covers it. */
function searchOf(url: string): string {
  const [target = ''] = url.split('#', 1)
  const start = target.indexOf('?')
  return start === -1 ? '' : target.slice(start)
}

function bodyOf({ body, bodyUsed }: Request): CallbackRequest['body'] {
  // A locked body has a reader already.
  if (bodyUsed || body?.locked) return { parsed: undefined }
  return { unread: body === null ? Readable.from([]) : Readable.fromWeb(body as ReadableStream<Uint8Array>) }
}
