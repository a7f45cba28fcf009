// Owns the number of requests that were received and are neither answered nor cut yet.
import type { ServerResponse } from 'node:http'

export class OpenRequests {
  #count = 0

  get count(): number {
    return this.#count
  }

  add(response: ServerResponse): void {
    this.#count += 1
    // Comes once, after the end of an answer as well as for a connection that was cut.
    response.once('close', () => {
      this.#count -= 1
    })
  }
}
