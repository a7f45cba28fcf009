// Owns the answer to "which attempt at which message is this POST?".
// What happens to that attempt is left to number-script.ts.
import { createHash } from 'node:crypto'
import { BoundedMap } from './bounded-map.ts'
import type { Submission } from './read-submission.ts'

export interface AttemptNumber {
  /** From the StatusCallback URL; null if it names no message and attempt. */
  message: string | null
  /** 0 is the first. */
  attempt: number
  /** How many POSTs for this message came before and were processed, whatever attempt they were. */
  earlierPosts: number
}

/** `?message=<id>&attempt=<n>` of the StatusCallback URL, null if it does not carry both. */
export function readNamedAttempt(statusCallback: string | null): { message: string; attempt: number } | null {
  if (statusCallback === null) return null
  const query = new URL(statusCallback).searchParams
  const message = query.get('message')
  const attempt = query.get('attempt')
  if (message === null || message === '' || attempt === null || !/^\d{1,9}$/.test(attempt)) return null
  return { message, attempt: Number(attempt) }
}

/**
 * An attempt that the callback URL names is taken at its word. Without a name, POSTs with the same To and Body
 * are counted. That is only a guess: two messages with one text look like two attempts, and an app that submits
 * the same attempt again, since it could not know what became of it, is moved on to the next line of the script.
 */
export class AttemptCounter {
  readonly #posts: BoundedMap<string, number>

  constructor(maxKept: number) {
    this.#posts = new BoundedMap(maxKept)
  }

  next({ to, body, statusCallback }: Submission): AttemptNumber {
    const named = readNamedAttempt(statusCallback)
    const parts = named === null ? [to, body] : [to, body, named.message]
    const key = createHash('sha256').update(JSON.stringify(parts)).digest('base64')
    const earlierPosts = this.#posts.get(key) ?? 0
    this.#posts.set(key, earlierPosts + 1)
    return { message: named?.message ?? null, attempt: named?.attempt ?? earlierPosts, earlierPosts }
  }
}
