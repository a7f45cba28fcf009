// Proof that a form was made by this dashboard: a browser sends the password along with whatever another site has it
// post, but no other site can know the token.
import { createHmac, timingSafeEqual } from 'node:crypto'

export class FormTokens {
  readonly #key: string

  /** @param secret the same in every web process */
  constructor(secret: string) {
    this.#key = secret
  }

  /** @param what the form does, and to what: another form needs another token */
  make(what: string): string {
    return createHmac('sha256', `form:${this.#key}`).update(what).digest('base64url')
  }

  static areSame(given: unknown, expected: string): boolean {
    // Another body parser makes objects of names with brackets.
    if (typeof given !== 'string') return false
    const [one, other] = [Buffer.from(given), Buffer.from(expected)]
    return one.length === other.length && timingSafeEqual(one, other)
  }
}
