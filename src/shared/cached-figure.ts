// A figure that the database has to count. It is kept for a while, so that many scrapes cost no more than a few.

/** How long a figure is kept: 20 times as long as it took to count, within these limits. A failure is kept for the minimum. */
interface Age {
  readonly minMs: number
  readonly maxMs: number
}

const DEFAULT_AGE: Age = { minMs: 5_000, maxMs: Number.POSITIVE_INFINITY }
const AGE_PER_DURATION = 20

export class CachedFigure<Value> {
  readonly #count: () => Promise<Value>
  readonly #onFailure: (error: Error) => void
  readonly #age: Age
  #value: Promise<Value | null> | undefined
  #validUntilMs = 0

  /** @param onFailure is called instead of a rejection */
  constructor(count: () => Promise<Value>, onFailure: (error: Error) => void, age = DEFAULT_AGE) {
    this.#count = count
    this.#onFailure = onFailure
    this.#age = age
  }

  /** Null if it cannot be counted. Never rejects. */
  read(): Promise<Value | null> {
    if (this.#value !== undefined && performance.now() < this.#validUntilMs) return this.#value
    const { minMs, maxMs } = this.#age
    const startedMs = performance.now()
    // While it is counted, further calls wait for the same result.
    this.#validUntilMs = Number.POSITIVE_INFINITY
    this.#value = this.#count().then(
      (value) => {
        const nowMs = performance.now()
        this.#validUntilMs = nowMs + Math.min(Math.max(minMs, AGE_PER_DURATION * (nowMs - startedMs)), maxMs)
        return value
      },
      (error: Error) => {
        this.#onFailure(error)
        this.#validUntilMs = performance.now() + minMs
        return null
      },
    )
    return this.#value
  }
}
