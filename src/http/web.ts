// The web process: serves the Express app until it is stopped.
import { createServer, type ServerOptions } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createHttpApp } from './app.ts'
import { Instance } from '../processes/instance.ts'
import type { Runtime } from '../processes/runtime.ts'
import { STATUS_CALLBACK_PATH } from '../twilio/status-callback.ts'

export interface RunningWeb {
  /** The URL at which this machine reaches it. */
  readonly url: string
  /** Stops accepting connections, answers requests in progress, closes the database. */
  stop(): Promise<void>
}

/** Limits for any client, before it is authenticated. Twilio sends its 2 KB in one piece. */
const LIMITS = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  // How often Node checks the two time-outs above; by default every 30 s.
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 16_384,
  // Longer than the 60 s for which load balancers keep idle connections: if this side closed one first, a callback that is
  // already on its way would be lost.
  keepAliveTimeout: 65_000,
} as const satisfies ServerOptions
const MAX_HEADERS = 100
/** Below the usual limit of open files, which includes database connections. */
const MAX_CONNECTIONS = 2_000

const FINISH_TIMEOUT_MS = 15_000
const CLOSE_IDLE_EVERY_MS = 100

/** @param options.isOpen serves the dashboard without a password: for the demo, which only this machine can reach */
export async function startWeb(runtime: Runtime, { isOpen = false } = {}): Promise<RunningWeb> {
  const instance = new Instance(runtime, 'web')
  const app = createHttpApp(runtime, { isOpen, instance })
  const server = createServer(LIMITS, app)
  server.maxHeadersCount = MAX_HEADERS
  server.maxConnections = MAX_CONNECTIONS
  // A connection was dropped at the limit. Closing idle ones makes room for the next.
  server.on('drop', () => server.closeIdleConnections())
  const { host, port } = runtime.config
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  void instance.start()
  const address = server.address() as AddressInfo
  const url = `http://${host === '0.0.0.0' || host === '::' ? 'localhost' : host}:${address.port}`
  runtime.logger.info('Web process listens', {
    url,
    // PUBLIC_BASE_URL may contain credentials for a proxy.
    callbacks: `${runtime.config.publicBaseUrl.replace(/\/\/[^/]*@/, '//')}${STATUS_CALLBACK_PATH}`,
  })
  return {
    url,
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve))
      // server.close() closes the connections that are idle now. The others become idle after their answer.
      const closeIdle = setInterval(() => server.closeIdleConnections(), CLOSE_IDLE_EVERY_MS)
      const forceClose = setTimeout(() => server.closeAllConnections(), FINISH_TIMEOUT_MS)
      await closed
      clearInterval(closeIdle)
      clearTimeout(forceClose)
      await app.close()
      runtime.logger.info('Web process has stopped')
    },
  }
}
