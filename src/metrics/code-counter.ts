// A counter by Twilio's error code, with a bounded number of series. A series starts with the first event of its code.
import type prom from 'prom-client'
import type { RetryPolicy } from '../delivery/retry-policy.ts'

export class CodeCounter {
  readonly #counter: prom.Counter<'code'>
  readonly #policy: RetryPolicy
  readonly #byCode = new Map<string, prom.Counter.Internal>()

  /** @param policy its codes have a series each: those of the catalogue, and those that the app's own rules name */
  constructor(counter: prom.Counter<'code'>, policy: RetryPolicy) {
    this.#counter = counter
    this.#policy = policy
  }

  /** @param code null for a failure without one */
  inc(code: number | null): void {
    const label = code === null ? 'none' : this.#policy.rules.has(code) ? `${code}` : 'other'
    let count = this.#byCode.get(label)
    if (count === undefined) {
      count = this.#counter.labels({ code: label })
      this.#byCode.set(label, count)
    }
    count.inc()
  }
}
