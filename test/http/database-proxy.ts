// A TCP proxy before PostgreSQL that can be away (connections refused and cut) or silent (they stay open, and
// nothing passes), as a database behind a network can.
import { connect, createServer, type Server, type Socket } from 'node:net'

export interface DatabaseProxy {
  /** The database's URL by way of the proxy. */
  readonly url: string
  set(state: 'there' | 'away' | 'silent'): Promise<void>
  close(): Promise<void>
}

export async function startDatabaseProxy(databaseUrl: string, port: number): Promise<DatabaseProxy> {
  const real = new URL(databaseUrl)
  const sockets = new Set<Socket>()
  let silent = false
  let server: Server | null = null

  const pass = (client: Socket): void => {
    const upstream = connect(Number(real.port), real.hostname)
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      if (silent) from.pause()
      from.on('data', (chunk) => to.write(chunk))
      from.on('error', () => to.destroy())
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
    }
  }

  const open = async (): Promise<void> => {
    if (server !== null) return
    const opened = createServer(pass)
    server = opened
    await new Promise<void>((resolve) => opened.listen(port, '127.0.0.1', resolve))
  }

  const shut = async (): Promise<void> => {
    const closing = server
    server = null
    if (closing === null) return
    const closed = new Promise((resolve) => closing.close(resolve))
    for (const socket of sockets) socket.destroy()
    await closed
  }

  await open()
  const url = new URL(databaseUrl)
  url.host = `127.0.0.1:${port}`
  return {
    url: url.toString(),
    async set(state) {
      silent = state === 'silent'
      if (state === 'away') return shut()
      for (const socket of sockets) silent ? socket.pause() : socket.resume()
      await open()
    },
    close: shut,
  }
}
