// Owns what is still to come: timers and everything else that must end before the simulator is idle, and
// that close() has to end. What the work is, is left to message-life.ts and callback-queue.ts.

export class PendingWork {
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #waiting = new Set<() => void>()
  #pending = 0
  #stopped = false

  get stopped(): boolean {
    return this.#stopped
  }

  /** Counts as pending until the returned function is called; calling that again does nothing. */
  begin(): () => void {
    this.#pending += 1
    let ended = false
    return () => {
      if (ended) return
      ended = true
      this.#pending -= 1
      this.#tellIfIdle()
    }
  }

  /** After stop() the action is silently not done. */
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

  /** Resolves when nothing is pending, at once if nothing is; also when the work is stopped. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.add(resolve)
      this.#tellIfIdle()
    })
  }

  stop(): void {
    this.#stopped = true
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
    this.#tellIfIdle()
  }

  #tellIfIdle(): void {
    if (this.#pending > 0 && !this.#stopped) return
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
  }
}
