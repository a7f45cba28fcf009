// Opens connections to Twilio: TCP, a tunnel if the environment names a proxy, and TLS. http-client.ts sends the requests.
import type { Socket } from 'node:net'
import { getProxyForUrl } from 'proxy-from-env'
import type { buildConnector, Client } from 'undici'

type Options = buildConnector.Options

/** No connection was established, so no byte of the request was sent. */
export class NotConnectedError extends Error {
  /** An error code of the system, of TLS or of undici; `PROXY_REFUSED` if the proxy opened no tunnel. */
  readonly code: string
  constructor(message: string, code: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

export interface ConnectorSettings {
  /** Certificates that are trusted instead of Node's own; null for Node's own. */
  readonly certificates: Buffer | null
  /** The time-out of each step: TCP, tunnel, TLS. */
  readonly timeoutMs: number
}

/**
 * Proxies come from the environment (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY). They belong to the machine, so
 * proxy-from-env reads them directly, as Node reads NODE_EXTRA_CA_CERTS. Plain HTTP, which only the simulator uses, never
 * goes through a proxy.
 */
export function createConnector(
  undici: { readonly buildConnector: typeof buildConnector; readonly Client: typeof Client },
  { certificates, timeoutMs }: ConnectorSettings,
): buildConnector.connector {
  const steps: Steps = {
    // Without further options, so that Node chooses between IPv4 and IPv6.
    openTcp: promised(undici.buildConnector({ timeout: timeoutMs })),
    secureProxy: promised(undici.buildConnector({ timeout: timeoutMs })),
    Client: undici.Client,
    timeoutMs,
  }
  const trusted = certificates === null ? {} : { ca: certificates }
  const secure = promised(undici.buildConnector({ timeout: timeoutMs, ...trusted }))

  async function open(options: Options): Promise<Socket> {
    const { protocol, hostname } = options
    if (protocol !== 'https:') return steps.openTcp(options)
    const port = options.port || '443'
    const address = `${options.host?.startsWith('[') ? `[${hostname}]` : hostname}:${port}`
    // HTTP_PROXY alone applies to https as well, as in the twilio package.
    const proxy = getProxyForUrl(`https://${address}`) || getProxyForUrl(`http://${address}`)
    const { raw, below } =
      proxy === ''
        ? same(await steps.openTcp({ ...options, protocol: 'http:', port }))
        : await openTunnel(steps, proxy, address)
    const socket = await secure({ ...options, port, httpSocket: below })
    resetOnDestroy(raw)
    return socket
  }

  return (options, callback) => {
    open(options).then(
      (socket) => callback(null, socket),
      (error: unknown) => callback(toNotConnected(error), null),
    )
  }
}

/** The steps to a connection, each with the same time-out. */
interface Steps {
  openTcp(options: Options): Promise<Socket>
  secureProxy(options: Options): Promise<Socket>
  readonly Client: typeof Client
  readonly timeoutMs: number
}

/** A tunnel through the proxy. `raw` is the TCP connection to the proxy, `below` the one that carries the tunnel. */
async function openTunnel(
  { openTcp, secureProxy, Client, timeoutMs }: Steps,
  proxy: string,
  address: string,
): Promise<{ raw: Socket; below: Socket }> {
  const { protocol, hostname, host, port, origin, username, password } = new URL(proxy)
  if (protocol !== 'http:' && protocol !== 'https:') {
    throw new NotConnectedError(`the protocol of the proxy (${protocol}) is not supported`, 'PROXY_REFUSED')
  }
  const isSecure = protocol === 'https:'
  const to = { hostname: hostname.replace(/^\[|\]$/g, ''), host, port: port || (isSecure ? '443' : '80') }
  const raw = await openTcp({ ...to, protocol: 'http:' })
  const connection = isSecure ? await secureProxy({ ...to, protocol, httpSocket: raw }) : raw
  // Deferred: undici's client expects the callback after its own call has returned.
  const connect: buildConnector.connector = (_options, callback) =>
    queueMicrotask(() => callback(null, connection))
  const client = new Client(origin, { connect, headersTimeout: timeoutMs })
  const credentials = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`)
  const authorization =
    username === '' ? {} : { 'proxy-authorization': `Basic ${credentials.toString('base64')}` }
  const { socket, statusCode } = await client.connect({
    path: address,
    headers: { host: address, ...authorization },
  })
  socket.on('error', () => undefined) // The TLS connection above reports the error.
  if (statusCode < 200 || statusCode > 299) {
    socket.destroy()
    throw new NotConnectedError(`proxy answered ${statusCode}`, 'PROXY_REFUSED')
  }
  return { raw, below: connection }
}

const same = (raw: Socket): { raw: Socket; below: Socket } => ({ raw, below: raw })

function promised(connect: buildConnector.connector): (options: Options) => Promise<Socket> {
  return (options) =>
    new Promise((resolve, reject) => {
      connect(options, (...[error, socket]) => (error === null ? resolve(socket) : reject(error)))
    })
}

/** Replaces UND_ERR_SOCKET, undici's code for a used connection: undici would reconnect for ever. */
function toNotConnected(error: unknown): NotConnectedError {
  if (error instanceof NotConnectedError) return error
  const { code: known } = error as { code?: unknown }
  const code = typeof known === 'string' ? known : 'CONNECT_FAILED'
  return new NotConnectedError(
    `no connection (${code})`,
    code === 'UND_ERR_SOCKET' ? 'ECONNRESET' : code,
    error,
  )
}

/** If the kernel has not taken all bytes by then, the request stays incomplete, and an ordinary close is enough. */
const RESET_WITHIN_MS = 1_000

/**
 * Resets the connection instead of closing it. After a close, the kernel retransmits unacknowledged data for minutes: after a
 * network outage, Twilio could receive a request that was found to be lost and was made again. (This cannot reset a proxy's
 * own connection to Twilio.)
 *
 * Only for a connection below TLS whose handshake is complete, and only when the TLS connection destroys it: Node crashes if
 * the connection below TLS is destroyed first.
 */
function resetOnDestroy(raw: Socket): void {
  const destroy = raw.destroy.bind(raw)
  raw.destroy = (error) => {
    raw.destroy = destroy
    raw.resetAndDestroy()
    setTimeout(() => destroy(error), RESET_WITHIN_MS).unref()
    return raw
  }
}
