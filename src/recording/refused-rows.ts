// Rows that the database refuses to change, by a constraint, a trigger, a rule or row-level security. A process leaves such
// a row to a person: it reports it once, and tries it again only now and then.
import { errorFields, type Logger } from '../shared/log.ts'

const TRY_AGAIN_AFTER_MS = 600_000

/** More rows than a person can look at. The ones that were refused first are tried again first. */
const MAX_ROWS = 10_000

export class RefusedRows {
  readonly #logger: Logger
  /** When each was refused last, by a clock that does not go back; the oldest first. */
  readonly #refusedMs = new Map<number, number>()
  readonly #reported = new Set<number>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  add(messageId: number, reason: Error): void {
    this.#refusedMs.delete(messageId)
    this.#refusedMs.set(messageId, performance.now())
    dropFirst(this.#refusedMs)
    const isNews = !this.#reported.has(messageId)
    this.#reported.add(messageId)
    dropFirst(this.#reported)
    this.#logger[isNews ? 'error' : 'debug'](
      'The database refuses to change a message: nothing is sent for it. Remove the cause, then run: sms-retry retry <id>',
      { messageId, ...errorFields(reason) },
    )
  }

  /** The rows that are not tried now. */
  current(): readonly number[] {
    const nowMs = performance.now()
    for (const [id, refusedMs] of this.#refusedMs) {
      if (nowMs - refusedMs < TRY_AGAIN_AFTER_MS) break
      this.#refusedMs.delete(id)
    }
    return [...this.#refusedMs.keys()]
  }
}

function dropFirst(kept: Map<number, unknown> | Set<number>): void {
  if (kept.size <= MAX_ROWS) return
  const [first] = kept.keys()
  if (first !== undefined) kept.delete(first)
}
