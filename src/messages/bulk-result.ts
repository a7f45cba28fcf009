// Counts what a bulk action did, or would do.
import type { Cursor } from '../db/search.ts'

export interface BulkResult {
  readonly matched: number
  /** Retried or canceled. In a dry run: that would be. */
  readonly changed: number
  /** How many were not changed, by the reason; the most frequent first. */
  readonly unchanged: ReadonlyMap<string, number>
  /** How many could not be changed, because the row is locked, or the database refuses the change. */
  readonly failed: number
  /** The message after which the next run continues; null for the oldest one. */
  readonly last: Cursor | null
  /** False if the run ended early. */
  readonly isComplete: boolean
}

export class Tally {
  #matched = 0
  #changed = 0
  #failed = 0
  readonly #unchanged = new Map<string, number>()
  #last: Cursor | null
  #isComplete = false

  /** @param last the message after which the run begins */
  constructor(last: Cursor | null) {
    this.#last = last
  }

  get matched(): number {
    return this.#matched
  }

  get changed(): number {
    return this.#changed
  }

  /** @param why null for a message that is changed */
  count(why: string | null): void {
    this.#matched += 1
    if (why === null) this.#changed += 1
    else this.#unchanged.set(why, (this.#unchanged.get(why) ?? 0) + 1)
  }

  countFailed(): void {
    this.#matched += 1
    this.#failed += 1
  }

  /** @param next null after the last page */
  endPage(next: Cursor | null): void {
    if (next === null) this.#isComplete = true
    else this.#last = next
  }

  result(): BulkResult {
    return {
      matched: this.#matched,
      changed: this.#changed,
      unchanged: new Map([...this.#unchanged].toSorted(([, one], [, other]) => other - one)),
      failed: this.#failed,
      last: this.#last,
      isComplete: this.#isComplete,
    }
  }
}
