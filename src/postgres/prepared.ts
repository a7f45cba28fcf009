// Prepared statements: the server parses and plans each of them once per connection. They can get lost, above all behind
// a pooler; then the work runs again without them.
import { createHash } from 'node:crypto'
import pg from 'pg'

/** Each stays in the server's memory as long as its connection. Ours and pg-boss's are about forty. */
const MAX_PREPARED = 100

/** How long nothing is prepared after a loss. Behind a pooler that loses them always, one transaction a minute pays for it. */
const PAUSE_MS = 60_000

export class PreparedStatements {
  readonly #names = new Map<string, string>()
  readonly #onLost: (error: Error) => void
  readonly #nowMs: () => number
  #pausedUntilMs = Number.NEGATIVE_INFINITY

  /** @param onLost called at most once a minute */
  constructor(onLost: (error: Error) => void, nowMs = () => performance.now()) {
    this.#onLost = onLost
    this.#nowMs = nowMs
  }

  /** A text without values may hold several statements, which cannot be prepared. */
  toQuery(text: string, values: unknown[] | undefined): pg.QueryConfig {
    if (values === undefined || values.length === 0) return { text }
    const name = this.#isPaused() ? undefined : this.#nameOf(text)
    return name === undefined ? { text, values } : { name, text, values }
  }

  /**
   * Runs `work`. If it fails because a prepared statement got lost, preparing pauses and `work` runs once more.
   *
   * @param work must leave nothing written when it fails like this
   */
  async run<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (!isLostStatement(error)) throw error
      this.#pause(error)
      return work()
    }
  }

  #isPaused(): boolean {
    return this.#nowMs() < this.#pausedUntilMs
  }

  /** Statements that were under way fail together: the first failure starts the pause. */
  #pause(error: Error): void {
    if (this.#isPaused()) return
    this.#pausedUntilMs = this.#nowMs() + PAUSE_MS
    this.#onLost(error)
  }

  /** Derived from the text: behind a pooler, another process may have prepared the same name on the same connection. */
  #nameOf(text: string): string | undefined {
    const known = this.#names.get(text)
    if (known !== undefined || this.#names.size === MAX_PREPARED) return known
    const name = `sms_retry_${createHash('sha256').update(text).digest('hex').slice(0, 32)}`
    this.#names.set(text, name)
    return name
  }
}

/**
 * 26000 and 42P05: the pooler switched to another server connection than the one that prepared it (PgBouncer in
 * transaction mode before 1.21, or with `max_prepared_statements = 0`). 0A000: a column changed its type.
 */
const LOST = new Set(['26000', '42P05'])
const FEATURE_NOT_SUPPORTED = '0A000'

export function isLostStatement(error: unknown): error is Error {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  if (!(cause instanceof pg.DatabaseError)) return false
  const isStale = cause.code === FEATURE_NOT_SUPPORTED && cause.routine === 'RevalidateCachedQuery'
  return isStale || LOST.has(cause.code ?? '')
}
