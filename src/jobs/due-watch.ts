// Polls this worker's queue when the next retry is due. Regular polling would find the job up to half a second later.
// One worker at a time holds the watch. The others only poll, until one of them takes a released watch.
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { nextDueMs, takeWatch } from '../db/next-due-retry.ts'
import type { Db } from '../postgres/pool.ts'
import { errorFields, type Logger } from '../shared/log.ts'

/** If the holder dies, the watch is free after this time. Until then, polling finds due jobs. */
const HOLD_SECONDS = 5
const RENEW_AFTER_MS = 2_000

/** The pause between checks. Retries are scheduled minutes ahead, so a new one is noticed in time. */
const CHECK_AGAIN_MS = 500

/** Timers and clocks are not exact, and a poll that is too early finds nothing. */
const MARGIN_MS = 3

/** Retries that are due within this time of each other share one poll. */
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
        this.#logger.debug('Could not read when the next retry is due', errorFields(error))
        return CHECK_AGAIN_MS
      })
      await this.#sleep(pauseMs)
    }
  }

  /** @returns the pause before the next check */
  async #watch(): Promise<number> {
    if (!(await this.#hasWatch())) return RENEW_AFTER_MS
    const dueMs = await nextDueMs(this.#db)
    if (dueMs === null || dueMs > CHECK_AGAIN_MS) return CHECK_AGAIN_MS
    await this.#sleep(Math.max(dueMs + MARGIN_MS, 0))
    if (!this.#stopping.signal.aborted) this.#wake()
    return MIN_PAUSE_MS
  }

  async #hasWatch(): Promise<boolean> {
    const nowMs = performance.now()
    if (nowMs - this.#takenMs < RENEW_AFTER_MS) return true
    const isOurs = await takeWatch(this.#db, this.#holder, HOLD_SECONDS)
    this.#takenMs = isOurs ? nowMs : Number.NEGATIVE_INFINITY
    return isOurs
  }

  async #sleep(ms: number): Promise<void> {
    // Rejects only when the watch is stopped.
    await sleep(ms, undefined, { signal: this.#stopping.signal }).catch(() => undefined)
  }

  /** Waits for the running statement. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }
}
