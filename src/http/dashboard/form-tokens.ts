// Proof that a form was made by this dashboard: a browser sends the password along with whatever another site has it
// post, but no other site can know the token.
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { DashboardKeys } from './dashboard-keys.ts'

export class FormTokens {
  readonly #keys: DashboardKeys

  constructor(keys: DashboardKeys) {
    this.#keys = keys
  }

  /** @param what the form does, and to what: another form needs another token */
  async make(what: string): Promise<string> {
    return createHmac('sha256', await this.#keys.keyFor('form'))
      .update(what)
      .digest('base64url')
  }

  static areSame(given: unknown, expected: string): boolean {
    // Another body parser makes objects of names with brackets.
    if (typeof given !== 'string') return false
    const [one, other] = [Buffer.from(given), Buffer.from(expected)]
    return one.length === other.length && timingSafeEqual(one, other)
  }
}
