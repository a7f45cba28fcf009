// Claims of live processes whose request is still on its way. A request takes real time: if the virtual clock moves
// between the claim and the request, the claim looks lost, and another worker may submit the message again.
import type pg from 'pg'

/** A live process has recorded a claim's answer, or at least made its request, long before. */
const SETTLED_AFTER_MS = 2_000

export class LiveClaims {
  /** When each claim was first seen. */
  readonly #seenMs = new Map<string, number>()

  /** @returns whether every claim is older than a live process needs: its request was made, or its process is dead */
  async areSettled(client: pg.Client): Promise<boolean> {
    const { rows } = await client.query<{ claim: string }>(
      `select id || ' ' || (sms_metadata -> 'attempts' -> -1 -> 'times' ->> 'submitting') as "claim"
         from sms_usage_logs where final_status = 'submitting'`,
    )
    const now = performance.now()
    for (const { claim } of rows) {
      if (!this.#seenMs.has(claim)) this.#seenMs.set(claim, now)
    }
    return rows.every(({ claim }) => now - (this.#seenMs.get(claim) ?? now) > SETTLED_AFTER_MS)
  }
}
