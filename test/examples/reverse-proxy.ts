// What stands in front of many an app: a proxy that takes a path prefix away, and asks for another host than its client
// did.
import { once } from 'node:events'
import { createServer, request as ask } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface ReverseProxy {
  /** With the prefix, without a slash at the end. */
  readonly url: string
  /** The paths that were asked for, the prefix included. */
  readonly paths: string[]
  close(): Promise<void>
}

export async function startReverseProxy(prefix: string, port: number): Promise<ReverseProxy> {
  const paths: string[] = []
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    paths.push(path)
    if (!path.startsWith(`${prefix}/`)) return void response.writeHead(404).end()
    const headers = {
      ...request.headers,
      host: 'shop.internal',
      'x-forwarded-for': '203.0.113.7',
      'x-forwarded-host': 'elsewhere.example.com',
      'x-forwarded-proto': 'https',
    }
    const options = {
      host: '127.0.0.1',
      port,
      method: request.method,
      path: path.slice(prefix.length),
      headers,
    }
    const asking = ask(options, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    asking.on('error', () => response.writeHead(502).end())
    request.pipe(asking)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${prefix}`,
    paths,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
