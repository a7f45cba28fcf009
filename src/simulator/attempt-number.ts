// Determines to which message, and to which of its attempts, a POST belongs. number-script.ts decides the outcome.
import { createHash } from 'node:crypto'
import { BoundedMap } from './bounded-map.ts'
import type { Submission } from './read-submission.ts'

export interface AttemptNumber {
  /** From the StatusCallback URL; null if the URL does not name message and attempt. */
  message: string | null
  /** 0 is the first attempt. */
  attempt: number
  /** The number of earlier POSTs for this message that were processed, for any attempt. */
  earlierPosts: number
}

/** Reads `?message=<id>&attempt=<n>` of the StatusCallback URL; null if one of them is missing. */
export function readNamedAttempt(statusCallback: string | null): { message: string; attempt: number } | null {
  if (statusCallback === null) return null
  const query = new URL(statusCallback).searchParams
  const message = query.get('message')
  const attempt = query.get('attempt')
  if (message === null || message === '' || attempt === null || !/^\d{1,9}$/.test(attempt)) return null
  return { message, attempt: Number(attempt) }
}

/**
 * Uses the attempt that the callback URL names. If it names none, the counter counts POSTs with the same To and Body. That
 * is a guess: two messages with the same text look like two attempts, and so does one attempt that is submitted twice.
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
