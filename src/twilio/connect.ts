// Connections to Twilio: TCP, a proxy's tunnel where the environment names a proxy, TLS. Each is ready for a request, or
// was never used for one. What is sent over them is in http-client.ts.
import type { Socket } from 'node:net'
import { getProxyForUrl } from 'proxy-from-env'
import type { buildConnector, Client } from 'undici'

type Options = buildConnector.Options

/** No connection was made, so nothing of the request was sent. */
export class NotConnectedError extends Error {
  /** Of the system, of TLS or of undici; `PROXY_REFUSED` if the proxy opened no tunnel. */
  readonly code: string
  constructor(message: string, code: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

export interface ConnectorSettings {
  /** Trusted instead of Node's own authorities; null for these. */
  readonly certificates: Buffer | null
  /** For each step: TCP, the tunnel, TLS. */
  readonly timeoutMs: number
}

/**
 * Proxies come from the environment (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY), which belongs to the machine: so
 * proxy-from-env reads it, as Node itself reads NODE_EXTRA_CA_CERTS. Plain HTTP, which only the simulator speaks, goes
 * directly.
 */
export function createConnector(
  undici: { readonly buildConnector: typeof buildConnector; readonly Client: typeof Client },
  { certificates, timeoutMs }: ConnectorSettings,
): buildConnector.connector {
  // Without options of its own, so that Node chooses between IPv4 and IPv6.
  const openTcp = promised(undici.buildConnector({ timeout: timeoutMs }))
  const trusted = certificates === null ? {} : { ca: certificates }
  const secure = promised(undici.buildConnector({ timeout: timeoutMs, ...trusted }))
  const secureProxy = promised(undici.buildConnector({ timeout: timeoutMs }))

  async function open(options: Options): Promise<Socket> {
    const { protocol, hostname } = options
    if (protocol !== 'https:') return openTcp(options)
    const port = options.port || '443'
    const address = `${options.host?.startsWith('[') ? `[${hostname}]` : hostname}:${port}`
    // HTTP_PROXY alone is also for https, as it is in the twilio package.
    const proxy = getProxyForUrl(`https://${address}`) || getProxyForUrl(`http://${address}`)
    const { raw, below } =
      proxy === ''
        ? same(await openTcp({ ...options, protocol: 'http:', port }))
        : await tunnel(proxy, address)
    const socket = await secure({ ...options, port, httpSocket: below })
    resetOnDestroy(raw)
    return socket
  }

  /** A connection through the proxy, and the one to the proxy that it goes over. */
  async function tunnel(proxy: string, address: string): Promise<{ raw: Socket; below: Socket }> {
    const { protocol, hostname, host, port, origin, username, password } = new URL(proxy)
    if (protocol !== 'http:' && protocol !== 'https:') {
      throw new NotConnectedError(`the proxy's protocol (${protocol}) is not supported`, 'PROXY_REFUSED')
    }
    const isSecure = protocol === 'https:'
    const to = { hostname: hostname.replace(/^\[|\]$/g, ''), host, port: port || (isSecure ? '443' : '80') }
    const raw = await openTcp({ ...to, protocol: 'http:' })
    const connection = isSecure ? await secureProxy({ ...to, protocol, httpSocket: raw }) : raw
    // Later: undici's client does not expect a connection before it has asked for one.
    const connect: buildConnector.connector = (_options, callback) =>
      queueMicrotask(() => callback(null, connection))
    const client = new undici.Client(origin, { connect, headersTimeout: timeoutMs })
    const credentials = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`)
    const authorization =
      username === '' ? {} : { 'proxy-authorization': `Basic ${credentials.toString('base64')}` }
    const { socket, statusCode } = await client.connect({
      path: address,
      headers: { host: address, ...authorization },
    })
    socket.on('error', () => undefined) // Its end is the TLS connection's, which reports it.
    if (statusCode < 200 || statusCode > 299) {
      socket.destroy()
      throw new NotConnectedError(`proxy answered ${statusCode}`, 'PROXY_REFUSED')
    }
    return { raw, below: connection }
  }

  return (options, callback) => {
    open(options).then(
      (socket) => callback(null, socket),
      (error: unknown) => callback(toNotConnected(error), null),
    )
  }
}

const same = (raw: Socket): { raw: Socket; below: Socket } => ({ raw, below: raw })

function promised(connect: buildConnector.connector): (options: Options) => Promise<Socket> {
  return (options) =>
    new Promise((resolve, reject) => {
      connect(options, (...[error, socket]) => (error === null ? resolve(socket) : reject(error)))
    })
}

/** Never with a code of undici's own for a connection that was used: it would connect again, without an end. */
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

/** What the kernel has not taken over by then makes the request incomplete, and an ordinary close is enough. */
const RESET_WITHIN_MS = 1_000

/**
 * Has the connection reset instead of closed. The kernel goes on with one that is closed: for minutes it repeats what has
 * not arrived, so that after an outage of the network a request would reach Twilio which has long been taken for lost,
 * and made again. (A proxy's own connection to Twilio is out of our reach.)
 *
 * Only below TLS whose handshake is over, and only by way of the TLS connection's own end, which destroys this one last:
 * Node crashes if the connection below TLS goes first.
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
