// A server that takes POSTs to Messages.json and answers as the test says: also as a broken Twilio, or whatever
// stands in front of it, would. It speaks HTTP over a real socket; the twilio package knows no difference.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { newSid } from './callbacks.ts'

export interface ReceivedPost {
  readonly path: string
  readonly authorization: string
  readonly fields: Readonly<Record<string, string>>
}

/** Writes the answer, or breaks the connection. May wait for something first. */
export type Answering = (response: ServerResponse, post: ReceivedPost) => unknown

export interface FakeTwilio {
  /** Without a slash at the end. */
  readonly url: string
  /** Every POST that was read to its end, oldest first. */
  readonly posts: ReceivedPost[]
  close(): Promise<void>
}

export async function startFakeTwilio(answer: Answering): Promise<FakeTwilio> {
  const posts: ReceivedPost[] = []
  const server = createServer((request, response) => {
    readPost(request).then(
      async (post) => {
        posts.push(post)
        await answer(response, post)
      },
      // The client left before its request was complete.
      () => undefined,
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    posts,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function readPost(request: IncomingMessage): Promise<ReceivedPost> {
  let body = ''
  for await (const chunk of request) body += String(chunk)
  return {
    path: request.url ?? '',
    authorization: request.headers.authorization ?? '',
    fields: Object.fromEntries(new URLSearchParams(body)),
  }
}

/** One answer with these headers and this body, JSON unless it is a string. */
export function answerWith(
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Answering {
  return (response) => {
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  }
}

/** As Twilio accepts a message. */
export const accept: Answering = (response, post) => answerWith(201, createdMessage())(response, post)

/** The part of Twilio's message resource that matters, with a sid of its own. */
export function createdMessage(changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { sid: newSid(), status: 'queued', error_code: null, error_message: null, ...changes }
}

/** Twilio's error body. */
export function errorBody(status: number, code: number, message: string): object {
  return { code, message, more_info: `https://www.twilio.com/docs/errors/${code}`, status }
}
