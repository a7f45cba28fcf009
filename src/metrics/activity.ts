// What this process saw last: claimed attempts, status callbacks, and signs that callbacks do not arrive. instance.ts writes
// it to the database, where delivery/health.ts looks for incidents. Ages, because each process has its own clock.
import type { ActivityAges } from '../db/instances.ts'

/** Enough to raise an alarm and to show how large the problem is. */
const MAX_KEPT = 100

export class Activity {
  #claimedMs: number | null = null
  #callbackMs: number | null = null
  readonly #missedMs: number[] = []
  readonly #refusedMs = new Map<string, number>()

  claimed(): void {
    this.#claimedMs = performance.now()
  }

  callback(): void {
    this.#callbackMs = performance.now()
  }

  missed(): void {
    this.#missedMs.push(performance.now())
    if (this.#missedMs.length > MAX_KEPT) this.#missedMs.shift()
  }

  /** @param message counts once: anyone who knows the callback URL of a message can repeat its callback */
  refused(message: string): void {
    this.#refusedMs.delete(message)
    this.#refusedMs.set(message, performance.now())
    const [oldest] = this.#refusedMs.keys()
    if (this.#refusedMs.size > MAX_KEPT && oldest !== undefined) this.#refusedMs.delete(oldest)
  }

  ages(): ActivityAges {
    const nowMs = performance.now()
    const age = (ms: number): number => (nowMs - ms) / 1000
    return {
      claimed: this.#claimedMs === null ? null : age(this.#claimedMs),
      callback: this.#callbackMs === null ? null : age(this.#callbackMs),
      missed: this.#missedMs.map(age),
      refused: [...this.#refusedMs.values()].map(age),
    }
  }
}
