// Owns the rule that lets a simulator run for days: it keeps the newest entries and drops the oldest.
// What is kept, and how much of it, is left to those who use it.

export class BoundedMap<Key, Value> {
  readonly #entries = new Map<Key, Value>()
  readonly #maxEntries: number

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries
  }

  get(key: Key): Value | undefined {
    return this.#entries.get(key)
  }

  /** Setting a key again makes it the newest. */
  set(key: Key, value: Value): void {
    this.#entries.delete(key)
    this.#entries.set(key, value)
    if (this.#entries.size > this.#maxEntries) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest)
        break
      }
    }
  }

  /** Oldest first. */
  values(): Value[] {
    return [...this.#entries.values()]
  }
}
