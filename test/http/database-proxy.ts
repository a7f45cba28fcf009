// A TCP proxy before PostgreSQL that can be away (connections refused and cut) or silent (they stay open, and
// nothing passes), as a database behind a network can; or be lost at one point of a conversation.
import { connect, createServer, type Server, type Socket } from 'node:net'
import { PreparedStatements } from '../../src/postgres/prepared.ts'

export interface DatabaseProxy {
  /** The database's URL by way of the proxy. */
  readonly url: string
  set(state: 'there' | 'away' | 'silent'): Promise<void>
  /**
   * Once, at the next text like this that a client sends, or at the name of the statement prepared from it: the server
   * gets it `never`, or gets it, and only its answer is `unanswered`. Resolves when the connection is lost in this way.
   *
   * @param then what becomes of it: the connection is `cut`, and can be made again at once; the database is `away`;
   *   nobody notices, and the connection stays open in `silence`; or it is cut after it was `reported`, as PgBouncer
   *   does
   */
  loseAt(text: string, which: 'never' | 'unanswered', then?: Consequence): Promise<void>
  close(): Promise<void>
}

export type Consequence = 'cut' | 'away' | 'silence' | 'reported'

interface Trap {
  readonly texts: readonly [string, string]
  readonly which: 'never' | 'unanswered'
  readonly spring: (client: Socket) => void
}

export async function startDatabaseProxy(databaseUrl: string, port: number): Promise<DatabaseProxy> {
  const real = new URL(databaseUrl)
  const sockets = new Set<Socket>()
  let silent = false
  let trap: Trap | null = null
  let server: Server | null = null

  const pass = (client: Socket): void => {
    const upstream = connect(Number(real.port), real.hostname)
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      if (silent) from.pause()
      from.on('error', () => to.destroy())
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
    }
    let lost: Trap | null = null
    client.on('data', (chunk) => {
      if (lost === null && trap?.texts.some((text) => chunk.includes(text))) {
        lost = trap
        trap = null
      }
      if (lost?.which === 'never') lost.spring(client)
      else upstream.write(chunk)
    })
    upstream.on('data', (chunk) => {
      if (lost === null) client.write(chunk)
      // Answers to statements that were sent before it may come before.
      else if (chunk.includes(commandTag(lost.texts[0]))) lost.spring(client)
    })
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
  // A database that hangs is the subject here: the default of 5 seconds.
  url.searchParams.delete('connect_timeout')
  return {
    url: url.toString(),
    async set(state) {
      silent = state === 'silent'
      if (state === 'away') return shut()
      for (const socket of sockets) silent ? socket.pause() : socket.resume()
      await open()
    },
    loseAt: (text, which, then = 'cut') =>
      new Promise((resolve) => {
        const spring = (client: Socket): void => {
          if (then === 'cut') client.destroy()
          if (then === 'reported') client.end(SERVER_CONN_CRASHED)
          resolve(then === 'away' ? shut() : undefined)
        }
        const name = new PreparedStatements(() => undefined).toQuery(text, [null]).name
        // Our settings have the word as well (synchronous_commit); a text that ends has a NUL behind it.
        const whole = text === 'commit' ? 'commit\0' : text
        trap = { texts: [whole, name ?? whole], which, spring }
      }),
    close: shut,
  }
}

/** What PostgreSQL calls a statement by when it says that it is done: its first word, "COMMIT". */
const commandTag = (statement: string): string => (/^\w+/.exec(statement)?.[0] ?? '').toUpperCase()

const fields = 'SFATAL\0C08P01\0Mserver conn crashed?\0\0'
const length = Buffer.alloc(4)
length.writeInt32BE(fields.length + length.length)
/** PgBouncer's word when it has lost the server; 08P01 is the code of all its own errors (its src/proto.c). */
const SERVER_CONN_CRASHED = Buffer.concat([Buffer.from('E'), length, Buffer.from(fields)])
