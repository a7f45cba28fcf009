// Wakes the queue of this worker at the moment at which the next retry is due; without it, polling would find the job
// up to half a second later. Of all workers, one has the watch; the others poll, and take it over if it is given up.
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { nextDueMs, takeWatch } from '../db/next-due-retry.ts'
import type { Db } from '../postgres/pool.ts'
import { errorFields, type Logger } from '../shared/log.ts'

/** Who dies keeps it that long; meanwhile polling has to do. */
const HOLD_SECONDS = 5
const HOLD_ON_AFTER_MS = 2_000

/** How long after its scheduling a retry may be unknown; they are scheduled minutes ahead. */
const LOOK_AGAIN_MS = 500

/** Timers and clocks are not exact, and a look a moment too early would be for nothing. */
const MARGIN_MS = 3

/** Retries that are due one after the other are made together. A look must read past all that are deferred. */
const MIN_PAUSE_MS = 30

export class DueWatch {
  readonly #db: Db
  readonly #wake: () => void
  readonly #logger: Logger
  readonly #holder = randomUUID()
  readonly #stopping = new AbortController()
  readonly #running: Promise<void>
  #takenMs = Number.NEGATIVE_INFINITY

  constructor(db: Db, wake: () => void, logger: Logger) {
    this.#db = db
    this.#wake = wake
    this.#logger = logger
    this.#running = this.#run()
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const pauseMs = await this.#watch().catch((error: unknown) => {
        this.#logger.debug('Not known when the next retry is due', errorFields(error))
        return LOOK_AGAIN_MS
      })
      await this.#sleep(pauseMs)
    }
  }

  /** @returns the pause before the next look */
  async #watch(): Promise<number> {
    if (!(await this.#hasWatch())) return HOLD_ON_AFTER_MS
    const dueMs = await nextDueMs(this.#db)
    if (dueMs === null || dueMs > LOOK_AGAIN_MS) return LOOK_AGAIN_MS
    await this.#sleep(Math.max(dueMs + MARGIN_MS, 0))
    if (!this.#stopping.signal.aborted) this.#wake()
    return MIN_PAUSE_MS
  }

  async #hasWatch(): Promise<boolean> {
    const nowMs = performance.now()
    if (nowMs - this.#takenMs < HOLD_ON_AFTER_MS) return true
    const isOurs = await takeWatch(this.#db, this.#holder, HOLD_SECONDS)
    this.#takenMs = isOurs ? nowMs : Number.NEGATIVE_INFINITY
    return isOurs
  }

  async #sleep(ms: number): Promise<void> {
    // Rejects only if we are being stopped.
    await sleep(ms, undefined, { signal: this.#stopping.signal }).catch(() => undefined)
  }

  /** Resolves once the statement under way is done. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }
}
