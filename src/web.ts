// The web process: serves the Express app until it is told to stop.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createHttpApp } from './http/app.ts'
import { Instance } from './instance.ts'
import type { Runtime } from './runtime.ts'

export interface RunningWeb {
  /** Where it listens, as this machine reaches it. */
  readonly url: string
  /** Stops accepting, answers what is under way, closes the database. */
  stop(): Promise<void>
}

/** Twilio waits 15 seconds for an answer at the most; whoever takes longer to send 2 KB of headers and body is not Twilio. */
const REQUEST_TIMEOUT_MS = 15_000
const FINISH_TIMEOUT_MS = 15_000

/** @param options.isOpen serves the dashboard without a password: for the demo, which listens on this machine only */
export async function startWeb(runtime: Runtime, { isOpen = false } = {}): Promise<RunningWeb> {
  const instance = new Instance(runtime, 'web')
  const app = createHttpApp(runtime, { isOpen, instance })
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS }, app)
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
    callbacks: `${runtime.config.publicBaseUrl}/twilio/status`,
  })
  return {
    url,
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve))
      // Idle keep-alive connections are closed by server.close(); a stuck one is cut.
      const cut = setTimeout(() => server.closeAllConnections(), FINISH_TIMEOUT_MS)
      await closed
      clearTimeout(cut)
      await app.close()
      runtime.logger.info('Web process has stopped')
    },
  }
}
