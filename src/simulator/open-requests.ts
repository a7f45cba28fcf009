// Counts the requests that were received and are neither answered nor closed yet.
import type { ServerResponse } from 'node:http'

export class OpenRequests {
  #count = 0

  get count(): number {
    return this.#count
  }

  add(response: ServerResponse): void {
    this.#count += 1
    // Emitted once: after the end of the answer, or when the connection is closed.
    response.once('close', () => {
      this.#count -= 1
    })
  }
}
