// Which statements are prepared, and so parsed and planned once a connection instead of each time.
import { createHash } from 'node:crypto'
import pg from 'pg'

/** Each stays in the server's memory for as long as its connection lives. Ours and pg-boss's are about forty. */
const MAX_PREPARED = 100

export class PreparedStatements {
  readonly #names = new Map<string, string>()
  readonly #onLost: (error: Error) => void
  #isUsable = true

  /** @param onLost told once, if they cannot be used any more */
  constructor(onLost: (error: Error) => void) {
    this.#onLost = onLost
  }

  /** Without values a text may hold several statements, which cannot be prepared. */
  toQuery(text: string, values: unknown[] | undefined): pg.QueryConfig {
    if (values === undefined || values.length === 0) return { text }
    const name = this.nameOf(text)
    return name === undefined ? { text, values } : { name, text, values }
  }

  /**
   * Runs `work`, and once more without prepared statements if it failed because these got lost.
   *
   * @param work must have done nothing if it fails so
   */
  async run<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (!isLost(error)) throw error
      if (this.#isUsable) this.#onLost(error)
      this.#isUsable = false
      return work()
    }
  }

  /**
   * The name of the prepared statement with this text, made from the text itself: behind a pooler, another process may
   * have prepared on the same connection.
   *
   * @returns undefined if it is not to be prepared
   */
  nameOf(text: string): string | undefined {
    if (!this.#isUsable) return undefined
    const known = this.#names.get(text)
    if (known !== undefined || this.#names.size === MAX_PREPARED) return known
    const name = `sms_retry_${createHash('sha256').update(text).digest('hex').slice(0, 32)}`
    this.#names.set(text, name)
    return name
  }
}

/**
 * 26000 and 42P05: a pooler gave us another connection to the server than the one that we prepared on (PgBouncer in
 * transaction mode before 1.21, or with `max_prepared_statements = 0`). 0A000: a column has changed its type.
 */
const LOST = new Set(['26000', '42P05'])
const FEATURE_NOT_SUPPORTED = '0A000'

function isLost(error: unknown): error is Error {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  if (!(cause instanceof pg.DatabaseError)) return false
  const isStale = cause.code === FEATURE_NOT_SUPPORTED && cause.routine === 'RevalidateCachedQuery'
  return isStale || LOST.has(cause.code ?? '')
}
