// A figure that the database has to count. It is kept for a while, so that many scrapes cost no more than a few.

/** A figure is kept for at least this long, and for 20 times as long as it took to count. */
const MIN_AGE_MS = 5_000
const AGE_PER_DURATION = 20

export class CachedFigure<Value> {
  readonly #count: () => Promise<Value>
  readonly #onFailure: (error: Error) => void
  #value: Promise<Value | null> | undefined
  #validUntilMs = 0

  /** @param onFailure is called instead of a rejection */
  constructor(count: () => Promise<Value>, onFailure: (error: Error) => void) {
    this.#count = count
    this.#onFailure = onFailure
  }

  /** Null if it cannot be counted. Never rejects. */
  read(): Promise<Value | null> {
    if (this.#value !== undefined && performance.now() < this.#validUntilMs) return this.#value
    const startedMs = performance.now()
    // While it is counted, further calls wait for the same result.
    this.#validUntilMs = Number.POSITIVE_INFINITY
    this.#value = this.#count().then(
      (value) => {
        const nowMs = performance.now()
        this.#validUntilMs = nowMs + Math.max(MIN_AGE_MS, AGE_PER_DURATION * (nowMs - startedMs))
        return value
      },
      (error: Error) => {
        this.#onFailure(error)
        this.#validUntilMs = performance.now() + MIN_AGE_MS
        return null
      },
    )
    return this.#value
  }
}
