// Owns the memory of what was submitted: for Twilio's list and fetch, for inspection, and to tell whether an
// attempt was accepted twice. Filtering and paging are left to list-messages.ts.
import { BoundedMap } from './bounded-map.ts'
import type { MessageResource } from './message-resource.ts'
import { type SubmissionAnswer, wasCreated, wasRefused } from './submission-answer.ts'

/** What the simulator knows about a message beyond Twilio's resource. */
export interface SubmissionTrace {
  status_callback: string | null
  /** From the StatusCallback URL; null if it names no message and attempt. */
  message: string | null
  /** 0 is the first. Null if the POST was not processed, so that nobody had to know. */
  attempt: number | null
  validity_period: number | null
  created_at_ms: number
  answer: SubmissionAnswer
}

export type SimulatedMessage = MessageResource & SubmissionTrace

/** One attempt at one message that was accepted more than once: the recipient got it twice. */
export interface DoubleSubmission {
  message: string
  attempt: number
  sids: string[]
}

export interface StoredMessage {
  resource: MessageResource
  trace: SubmissionTrace
}

export class MessageStore {
  readonly #messages: BoundedMap<string, StoredMessage>
  readonly #counts: Record<SubmissionAnswer, number> = {
    accepted: 0,
    slow: 0,
    garbage: 0,
    server_error_after: 0,
    reset: 0,
    dripped: 0,
    hung: 0,
    refused: 0,
    refused_reset: 0,
    rate_limited: 0,
    unavailable: 0,
    server_error: 0,
    proxy_page: 0,
    hung_before: 0,
    closed_before: 0,
  }

  constructor(maxKept: number) {
    this.#messages = new BoundedMap(maxKept)
  }

  add(message: StoredMessage): void {
    this.#messages.set(message.resource.sid, message)
    this.#counts[message.trace.answer] += 1
  }

  /** Those that exist for Twilio's API: created, or refused if those are wanted too. */
  find(sid: string, includeRefused: boolean): StoredMessage | undefined {
    const message = this.#messages.get(sid)
    return message !== undefined && isVisible(message, includeRefused) ? message : undefined
  }

  newestFirst(includeRefused: boolean): StoredMessage[] {
    return this.#messages
      .values()
      .filter((message) => isVisible(message, includeRefused))
      .reverse()
  }

  /** Copies, oldest first. */
  all(): SimulatedMessage[] {
    return this.#messages.values().map(({ resource, trace }) => ({ ...resource, ...trace }))
  }

  /** How many POSTs got which answer since the start, also those no longer kept. */
  counts(): Record<SubmissionAnswer, number> {
    return { ...this.#counts }
  }

  doubleSubmissions(): DoubleSubmission[] {
    const accepted = new Map<string, DoubleSubmission>()
    for (const { resource, trace } of this.#messages.values()) {
      const { message, attempt, answer } = trace
      if (message === null || attempt === null || !wasCreated(answer)) continue
      // Ids come again in an app's table: another text is another message.
      const key = JSON.stringify([attempt, message, resource.to, resource.body])
      const entry = accepted.get(key) ?? { message, attempt, sids: [] }
      entry.sids.push(resource.sid)
      accepted.set(key, entry)
    }
    return [...accepted.values()].filter(({ sids }) => sids.length > 1)
  }
}

function isVisible({ trace }: StoredMessage, includeRefused: boolean): boolean {
  return wasCreated(trace.answer) || (includeRefused && wasRefused(trace.answer))
}
