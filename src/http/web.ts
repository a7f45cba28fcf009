// The web process: serves the Express app until it is told to stop.
import { createServer, type ServerOptions } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createHttpApp } from './app.ts'
import { Instance } from '../processes/instance.ts'
import type { Runtime } from '../processes/runtime.ts'
import { STATUS_CALLBACK_PATH } from '../twilio/status-callback.ts'

export interface RunningWeb {
  /** Where it listens, as this machine reaches it. */
  readonly url: string
  /** Stops accepting, answers what is under way, closes the database. */
  stop(): Promise<void>
}

/** What anybody may take up before it is known who it is. Twilio sends its 2 KB at once. */
const LIMITS = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  // How often the two above are looked at; by default twice a minute.
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 16_384,
  // Longer than the minute for which load balancers keep idle connections: it must not be us who close one while a
  // callback is on its way.
  keepAliveTimeout: 65_000,
} as const satisfies ServerOptions
const MAX_HEADERS = 100
/** Below what systems allow a process, which needs some for its database as well. */
const MAX_CONNECTIONS = 2_000

const FINISH_TIMEOUT_MS = 15_000

/** @param options.isOpen serves the dashboard without a password: for the demo, which listens on this machine only */
export async function startWeb(runtime: Runtime, { isOpen = false } = {}): Promise<RunningWeb> {
  const instance = new Instance(runtime, 'web')
  const app = createHttpApp(runtime, { isOpen, instance })
  const server = createServer(LIMITS, app)
  server.maxHeadersCount = MAX_HEADERS
  server.maxConnections = MAX_CONNECTIONS
  // One was turned away; those that nobody uses make room for the next.
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
    // Some have a password for the proxy in front in it.
    callbacks: `${runtime.config.publicBaseUrl.replace(/\/\/[^/]*@/, '//')}${STATUS_CALLBACK_PATH}`,
  })
  return {
    url,
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve))
      // Idle keep-alive connections are closed by server.close(); a stuck one is cut.
      const forceClose = setTimeout(() => server.closeAllConnections(), FINISH_TIMEOUT_MS)
      await closed
      clearTimeout(forceClose)
      await app.close()
      runtime.logger.info('Web process has stopped')
    },
  }
}
