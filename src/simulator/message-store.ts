// Keeps the submitted messages: for Twilio's list and fetch, for inspection, and to find attempts that were accepted twice.
// list-messages.ts filters and pages.
import { BoundedMap } from './bounded-map.ts'
import type { MessageResource } from './message-resource.ts'
import { type SubmissionAnswer, wasCreated, wasRefused } from './submission-answer.ts'

/** What the simulator knows about a message in addition to Twilio's resource. */
export interface SubmissionTrace {
  status_callback: string | null
  /** From the StatusCallback URL; null if the URL does not name message and attempt. */
  message: string | null
  /** 0 is the first attempt. Null if the POST was not processed. */
  attempt: number | null
  validity_period: number | null
  created_at_ms: number
  answer: SubmissionAnswer
}

export type SimulatedMessage = MessageResource & SubmissionTrace

/** An attempt that was accepted more than once, so that the recipient got the text twice. */
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

  /** Finds a message that the API shows: a created one, or a refused one if `includeRefused`. */
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

  /** Counts the POSTs by answer since the start, including messages no longer kept. */
  counts(): Record<SubmissionAnswer, number> {
    return { ...this.#counts }
  }

  doubleSubmissions(): DoubleSubmission[] {
    const accepted = new Map<string, DoubleSubmission>()
    for (const { resource, trace } of this.#messages.values()) {
      const { message, attempt, answer } = trace
      if (message === null || attempt === null || !wasCreated(answer)) continue
      // Ids can repeat in an app's table, for example after a restore. Another text is another message.
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
