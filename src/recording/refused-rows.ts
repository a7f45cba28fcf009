// Rows that the database refuses to change, because of a constraint, a trigger, a rule or row-level security. A person has
// to fix such a row: the process reports it once and retries it every ten minutes.
import { errorFields, type Logger } from '../shared/log.ts'

const RETRY_AFTER_MS = 600_000

/** More rows than a person can fix. Beyond this, the oldest entries are dropped, and their rows are retried earlier. */
const MAX_ROWS = 10_000

export class RefusedRows {
  readonly #logger: Logger
  /** The time of each row's latest refusal, on a monotonic clock; oldest first. */
  readonly #refusedMs = new Map<number, number>()
  readonly #reported = new Set<number>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  add(messageId: number, reason: Error): void {
    this.#refusedMs.delete(messageId)
    this.#refusedMs.set(messageId, performance.now())
    dropOldest(this.#refusedMs)
    const isNew = !this.#reported.has(messageId)
    this.#reported.add(messageId)
    dropOldest(this.#reported)
    this.#logger[isNew ? 'error' : 'debug'](
      'The database refuses to change a message, so it is not sent. Fix the cause, then run: sms-retry retry <id>',
      { messageId, ...errorFields(reason) },
    )
  }

  /** The ids of the rows to skip now. */
  current(): readonly number[] {
    const nowMs = performance.now()
    for (const [id, refusedMs] of this.#refusedMs) {
      if (nowMs - refusedMs < RETRY_AFTER_MS) break
      this.#refusedMs.delete(id)
    }
    return [...this.#refusedMs.keys()]
  }
}

function dropOldest(kept: Map<number, unknown> | Set<number>): void {
  if (kept.size <= MAX_ROWS) return
  const [first] = kept.keys()
  if (first !== undefined) kept.delete(first)
}
