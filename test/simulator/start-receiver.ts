// An HTTP receiver of status callbacks for tests, with functions that wait for them.
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface ReceivedCallback {
  /** Path and query as received. */
  path: string
  method: string
  headers: IncomingHttpHeaders
  fields: Record<string, string>
  atMs: number
}

export interface Receiver {
  url: string
  received: ReceivedCallback[]
  statuses(): string[]
  close(): Promise<void>
}

/** @param answer writes the response. Default: 204 */
export async function startReceiver(
  answer: (response: ServerResponse, callback: ReceivedCallback) => void = (response) => {
    response.writeHead(204).end()
  },
): Promise<Receiver> {
  const received: ReceivedCallback[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const callback = {
      path: request.url ?? '',
      method: request.method ?? '',
      headers: request.headers,
      fields: Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString())),
      atMs: Date.now(),
    }
    received.push(callback)
    answer(response, callback)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    received,
    statuses: () => received.map(({ fields }) => fields['MessageStatus'] ?? ''),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** Rejects with a description of the missing callback, which a failed test then shows. */
export async function waitFor(what: string, condition: () => boolean, timeoutMs = 120_000): Promise<void> {
  const endMs = Date.now() + timeoutMs
  while (!condition()) {
    if (Date.now() > endMs) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
