// What becomes of a connection to Twilio that is given up.
import { Agent } from 'node:https'
import { connect, type TcpNetConnectOpts } from 'node:net'
import type { TLSSocket } from 'node:tls'

/**
 * Has the agent reset its connections instead of closing them. The kernel goes on with one that is closed: for minutes it
 * repeats what has not arrived, so that after an outage of the network a request would reach Twilio which has long been
 * taken for lost, and made again.
 *
 * @param agent the twilio package's; where it is that of a proxy, the proxy's own connections are out of our reach
 */
export function resetConnectionsOf(agent: unknown): void {
  if (!(agent instanceof Agent)) return
  const encrypt = agent.createConnection.bind(agent)
  agent.createConnection = (options, callback) => {
    // One of TLS cannot be reset: only the one below. And that must not become another one when an address does not
    // answer.
    const below = connect({ ...(options as TcpNetConnectOpts), autoSelectFamily: false })
    const connection = encrypt({ ...options, socket: below } as typeof options, callback) as TLSSocket
    const destroy = connection.destroy.bind(connection)
    connection.destroy = (error) => {
      below.resetAndDestroy()
      return destroy(error)
    }
    return connection
  }
}
