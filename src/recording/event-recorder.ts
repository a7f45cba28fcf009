// Batches events without a timer: events that arrive while one batch is being written form the next one. A single event
// is written immediately, and the cost per event falls as the load grows.
import { DatabaseError, OverloadedError } from '../shared/errors.ts'
import type { Logger } from '../shared/log.ts'
import type { RefusedRows } from './refused-rows.ts'
import {
  type MessageEvent,
  type RecordDeps,
  type RecordResult,
  recordIsolated,
  type LockWait,
  WAIT_FOR_LOCKS,
} from './record-events.ts'

/**
 * A transaction of 100 events takes about as long as a flush to disk. A larger batch would only delay its first event.
 */
const MAX_BATCH_SIZE = 100

/** With more waiting events, new ones are refused. */
const MAX_WAITING = 2_000

/** Batches that wait for locked rows. Each may hold a connection for seconds. */
const MAX_LOCKED_BATCHES = 2
const MAX_WAITING_FOR_LOCKS = 1_000

/** The first try does not wait for locks: an event whose row is locked moves to the queue for locked rows. */
const SKIP_LOCKED: LockWait = { lockedRows: 'skip', lockTimeoutMs: 1_000 }

/** The dependencies of use cases that record single events. */
export interface RecordingDeps extends RecordDeps {
  readonly recorder: EventRecorder
  readonly refused: RefusedRows
  readonly logger: Logger
}

interface Entry {
  readonly messageEvent: MessageEvent
  resolve(recorded: RecordResult): void
  reject(reason: unknown): void
}

export class EventRecorder {
  readonly #deps: RecordDeps
  readonly #batches: BatchQueue
  readonly #lockedBatches: BatchQueue

  /** @param connections the size of the pool. If it has three or more, one stays free for everything else */
  constructor(deps: RecordDeps, connections: number) {
    this.#deps = deps
    const locked = Math.min(Math.max(connections - 2, 1), MAX_LOCKED_BATCHES)
    this.#batches = new BatchQueue(1, MAX_WAITING, (entries) => this.#write(entries, SKIP_LOCKED))
    this.#lockedBatches = new BatchQueue(locked, MAX_WAITING_FOR_LOCKS, (entries) =>
      this.#write(entries, WAIT_FOR_LOCKS),
    )
  }

  /**
   * Records one event in a batch with others and resolves once it is committed. If the database refuses it, only this
   * event fails.
   *
   * @throws DatabaseError if the database failed: the event was not recorded, or `written` is `unknown`
   * @throws OverloadedError if too many events wait, in total or for locked rows: the event was not recorded
   */
  record(messageEvent: MessageEvent): Promise<RecordResult> {
    return new Promise((resolve, reject) => this.#batches.add({ messageEvent, resolve, reject }))
  }

  /** Never rejects. */
  async #write(entries: readonly Entry[], lockWait: LockWait): Promise<Settle> {
    const messageEvents = entries.map(({ messageEvent }) => messageEvent)
    const results = await recordIsolated(this.#deps, messageEvents, lockWait)
    return () => {
      for (const [i, entry] of entries.entries()) {
        const result = results[i]
        if (result === undefined) entry.reject(new Error('The batch has no result for this event'))
        // Moves to the queue that waits for locks: the row is locked, another lock blocks its change, or the row does
        // not exist, which is rare.
        else if (lockWait === SKIP_LOCKED && isBlocked(result)) this.#lockedBatches.add(entry)
        else if (result.status === 'rejected') entry.reject(result.reason)
        else entry.resolve(result.value)
      }
    }
  }
}

function isBlocked(result: PromiseSettledResult<RecordResult>): boolean {
  if (result.status === 'fulfilled') return !result.value.known
  return result.reason instanceof DatabaseError && result.reason.scope === 'busy_row'
}

/** Resolves or rejects the entries of a batch. */
type Settle = () => void

/** A queue that is written in batches. Each batch takes the entries that have arrived by then. */
class BatchQueue {
  readonly #concurrency: number
  readonly #maxWaiting: number
  /** Must not reject. */
  readonly #write: (entries: readonly Entry[]) => Promise<Settle>
  #waiting: Entry[] = []
  #writing = 0

  constructor(
    concurrency: number,
    maxWaiting: number,
    write: (entries: readonly Entry[]) => Promise<Settle>,
  ) {
    this.#concurrency = concurrency
    this.#maxWaiting = maxWaiting
    this.#write = write
  }

  add(entry: Entry): void {
    if (this.#waiting.length >= this.#maxWaiting) {
      entry.reject(new OverloadedError(`${this.#maxWaiting} events are already waiting to be recorded`))
      return
    }
    this.#waiting.push(entry)
    if (this.#writing === this.#concurrency) return
    this.#writing += 1
    // Lets events that have already arrived join this batch, such as the due attempts of one poll.
    setImmediate(() => void this.#writeAll())
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const settle = await this.#write(this.#waiting.splice(0, MAX_BATCH_SIZE))
      // Settles this batch while the database works on the next one: dozens of HTTP answers take as long as a batch.
      setImmediate(settle)
    }
    this.#writing -= 1
  }
}
