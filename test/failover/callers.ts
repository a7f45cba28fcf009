// The app's side: code that sends and enqueues, and does what the documentation says when the database fails. What it
// was told of each message is kept, to be compared with the rows.
import { setTimeout as sleep } from 'node:timers/promises'
import { isNativeError } from 'node:util/types'
import pLimit from 'p-limit'
import pg from 'pg'
import { DatabaseError } from '../../src/shared/errors.ts'
import type { Sender } from '../../src/processes/sender.ts'

type How = 'send' | 'send with a key' | 'enqueue'
const WAYS: readonly How[] = ['send', 'send with a key', 'enqueue']

/** What becomes of a message whose attempts all reach Twilio: half are delivered at once, the others say so here. */
export interface Script {
  readonly to: string
  readonly ends: { readonly status: 'delivered' | 'undelivered' | 'failed'; readonly retries: number }
}

const SCRIPTS: readonly Script[] = [
  { to: '+15553000301', ends: { status: 'delivered', retries: 1 } },
  { to: '+15553000102', ends: { status: 'delivered', retries: 2 } },
  { to: '+15553000799', ends: { status: 'undelivered', retries: 0 } },
  { to: '+15552161099', ends: { status: 'failed', retries: 0 } },
  { to: '+15552042901', ends: { status: 'delivered', retries: 0 } },
]

export function scriptOf(number: number): Script {
  const script = SCRIPTS[number % (2 * SCRIPTS.length)]
  const to = `+1206555${`${number}`.padStart(4, '0')}`
  return script ?? { to, ends: { status: 'delivered', retries: 0 } }
}

export const bodyOf = (number: number): string => `This is text number ${number}`

export interface Told {
  readonly number: number
  readonly how: How
  readonly id: number
}

const AT_ONCE = 12
/** While the database is away, a caller does not ask without end. */
const PAUSE_MS = 100

export class Callers {
  readonly #sender: Sender
  readonly #url: string
  readonly #inTurn = pLimit(AT_ONCE)
  /** One entry for each message that the app takes for sent. */
  readonly told: Told[] = []
  /** What failed sends said of the row. */
  readonly failures = { no: 0, unknown: 0 }

  constructor(sender: Sender, url: string) {
    this.#sender = sender
    this.#url = url
  }

  /** @returns resolves once every caller has been told that its message is recorded */
  async run(from: number, to: number): Promise<void> {
    const numbers = Array.from({ length: to - from }, (_, i) => from + i)
    await Promise.all(numbers.map((number) => this.#inTurn(() => this.#call(number))))
  }

  async #call(number: number): Promise<void> {
    const how = WAYS[number % WAYS.length] ?? 'send'
    for (;;) {
      try {
        const id = how === 'enqueue' ? await this.#enqueue(number) : await this.#send(number, how)
        if (id !== null) {
          this.told.push({ number, how, id })
          return
        }
      } catch (error) {
        if (!isOfTheDatabase(error)) throw error
      }
      await sleep(PAUSE_MS)
    }
  }

  /** @returns null if the caller must send it again */
  async #send(number: number, how: How): Promise<number | null> {
    const message = { userId: 1, to: scriptOf(number).to, body: bodyOf(number) }
    try {
      const key = how === 'send with a key' ? { idempotencyKey: `order ${number}` } : {}
      return (await this.#sender.send({ ...message, ...key })).id
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error
      this.failures[error.written] += 1
      // Without a key, the app looks for the message first.
      return error.written === 'unknown' && how === 'send' ? this.#find(number) : null
    }
  }

  async #find(number: number): Promise<number | null> {
    for (;;) {
      try {
        const statement = 'select id from sms_usage_logs where message_content = $1'
        const { rows } = await this.#onClient((client) => client.query(statement, [bodyOf(number)]))
        return rows[0]?.id ?? null
      } catch (error) {
        if (!isOfTheDatabase(error)) throw error
        await sleep(PAUSE_MS)
      }
    }
  }

  /** The app's own row and the message in one transaction: either both are there or none. */
  #enqueue(number: number): Promise<number> {
    return this.#onClient(async (client) => {
      const { rows } = await client.query('select message from orders where number = $1', [number])
      if (rows[0] !== undefined) return rows[0].message
      await client.query('begin')
      const message = { userId: 1, to: scriptOf(number).to, body: bodyOf(number) }
      const { id } = await this.#sender.enqueue(message, { db: client })
      await client.query('insert into orders (number, message) values ($1, $2)', [number, id])
      await client.query('commit')
      return id
    })
  }

  async #onClient<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client({
      connectionString: this.#url,
      connectionTimeoutMillis: 5_000,
      query_timeout: 8_000,
    })
    client.on('error', () => undefined)
    try {
      await client.connect()
      return await work(client)
    } finally {
      // A server that is gone does not say goodbye.
      void client.end().catch(() => undefined)
    }
  }
}

/** The database is away, or fails over. Everything else is a fault of ours, and fails the run. */
function isOfTheDatabase(error: unknown): boolean {
  if (error instanceof DatabaseError) return true
  if (error instanceof pg.DatabaseError) return /^(57P|08|25006)/.test(error.code ?? '')
  // pg has no code for a connection that ended, or a time-out. (Of Node's own errors, Jest has another class.)
  return isNativeError(error) && error.name === 'Error'
}
