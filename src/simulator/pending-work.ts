// Tracks timers and other work that must end before the simulator is idle, and stops the timers on close().

export class PendingWork {
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #waiting = new Set<() => void>()
  #pending = 0
  #stopped = false

  /** Counts as pending until the returned function is called. That function is idempotent. */
  begin(): () => void {
    this.#pending += 1
    let ended = false
    return () => {
      if (ended) return
      ended = true
      this.#pending -= 1
      this.#resolveIfIdle()
    }
  }

  /** Does nothing after stop(). */
  after(delayMs: number, action: () => void): void {
    if (this.#stopped) return
    const end = this.begin()
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      action()
      end()
    }, delayMs)
    this.#timers.add(timer)
  }

  /** Resolves when nothing is pending, or when the work is stopped. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.add(resolve)
      this.#resolveIfIdle()
    })
  }

  stop(): void {
    this.#stopped = true
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
    this.#resolveIfIdle()
  }

  #resolveIfIdle(): void {
    if (this.#pending > 0 && !this.#stopped) return
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
  }
}
