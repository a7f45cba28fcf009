// Sends callbacks in order, limits how many run concurrently, and records the result of each. message-lifecycle.ts decides
// which callbacks exist; send-callback.ts makes the requests.
import http from 'node:http'
import https from 'node:https'
import { BoundedMap } from './bounded-map.ts'
import type { PendingWork } from './pending-work.ts'
import { type StatusCallback, sendCallback } from './send-callback.ts'

/** One callback that was sent. A duplicate has its own record. */
export interface SimulatedCallback {
  message_sid: string
  url: string
  fields: Record<string, string>
  /** HTTP status of the receiver's answer; null before the answer, and if there is none. */
  answer_status: number | null
  /** Why there is no answer. */
  error: string | null
  /** More than 1 if a try failed and the connection overrides of the callback URL allow another. */
  tries: number
  sent_at_ms: number
  /** When the answer arrived or the simulator gave up. */
  ended_at_ms: number | null
}

export interface CallbackQueueOptions {
  /** Called for every try, because the token can change. */
  authToken: () => string
  connectTimeoutMs: number
  answerTimeoutMs: number
  maxKept: number
  now: () => number
  work: PendingWork
}

/** Enough to put load on a receiver, without exhausting the sockets of either side. */
export const MAX_CALLBACKS_IN_FLIGHT = 64

export class CallbackQueue {
  readonly #options: CallbackQueueOptions
  readonly #records: BoundedMap<number, SimulatedCallback>
  readonly #waiting = new Set<() => Promise<void>>()
  readonly #inFlight = new Set<Promise<void>>()
  readonly #closing = new AbortController()
  readonly #agents = {
    http: new http.Agent({ keepAlive: true, maxSockets: MAX_CALLBACKS_IN_FLIGHT }),
    https: new https.Agent({ keepAlive: true, maxSockets: MAX_CALLBACKS_IN_FLIGHT }),
  }
  #sentCount = 0

  constructor(options: CallbackQueueOptions) {
    this.#options = options
    this.#records = new BoundedMap(options.maxKept)
  }

  /** Sends the callback now, or when fewer than MAX_CALLBACKS_IN_FLIGHT are running. Does nothing after close(). */
  add(callback: StatusCallback): void {
    if (this.#closing.signal.aborted) return
    const end = this.#options.work.begin()
    this.#waiting.add(() => this.#send(callback).finally(end))
    this.#sendNext()
  }

  /** Counts all callbacks since the start, including those no longer kept. */
  get sentCount(): number {
    return this.#sentCount
  }

  /** Copies, oldest first. */
  all(): SimulatedCallback[] {
    return this.#records.values().map((record) => ({ ...record }))
  }

  async close(): Promise<void> {
    this.#waiting.clear()
    this.#closing.abort()
    await Promise.all(this.#inFlight)
    this.#agents.http.destroy()
    this.#agents.https.destroy()
  }

  #sendNext(): void {
    for (const send of this.#waiting) {
      if (this.#inFlight.size >= MAX_CALLBACKS_IN_FLIGHT) return
      this.#waiting.delete(send)
      const sending: Promise<void> = send().finally(() => {
        this.#inFlight.delete(sending)
        this.#sendNext()
      })
      this.#inFlight.add(sending)
    }
  }

  async #send(callback: StatusCallback): Promise<void> {
    const record: SimulatedCallback = {
      message_sid: callback.fields['MessageSid'] ?? '',
      url: callback.url,
      fields: callback.fields,
      answer_status: null,
      error: null,
      tries: 1,
      sent_at_ms: this.#options.now(),
      ended_at_ms: null,
    }
    this.#records.set(this.#sentCount, record)
    this.#sentCount += 1
    const { authToken, connectTimeoutMs, answerTimeoutMs } = this.#options
    const options = {
      authToken,
      connectTimeoutMs,
      answerTimeoutMs,
      agents: this.#agents,
      signal: this.#closing.signal,
    }
    try {
      const { tries, answerStatus, error } = await sendCallback(callback, options)
      record.tries = tries
      record.answer_status = answerStatus
      record.error = error
    } catch (error) {
      // Some valid URLs cannot be requested, such as one with an incomplete percent code in its password.
      record.error = String(error)
    }
    record.ended_at_ms = this.#options.now()
  }
}
