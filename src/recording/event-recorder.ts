// Natural batches: what happens while one list of events is being written is the next list. There is no timer, so an
// event that comes alone is written at once; and the more there are, the less each of them costs.
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

/** A transaction of so many takes about as long as a disk's flush; more would only make the first one wait. */
const MAX_BATCH_SIZE = 100

/** Beyond it, whoever brings one is better told to come again. */
const MAX_WAITING = 2_000

/** Lists of events whose rows somebody has locked. Each holds a connection while it waits, for seconds if it must. */
const LOCKED_BATCHES = 2
const MAX_LOCKED = 1_000

/** For the lists: what is locked, by the app or by a trigger of its own, waits aside. */
const SKIP_LOCKED: LockWait = { lockedRows: 'skip', lockTimeoutMs: 1_000 }

/** What the use cases need that record single events. */
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

  /** @param connections how many the process has: lists and locked rows leave one to everything else, if they can */
  constructor(deps: RecordDeps, connections: number) {
    this.#deps = deps
    const locked = Math.min(Math.max(connections - 2, 1), LOCKED_BATCHES)
    this.#batches = new BatchQueue(1, MAX_WAITING, (entries) => this.#write(entries, SKIP_LOCKED))
    this.#lockedBatches = new BatchQueue(locked, MAX_LOCKED, (entries) =>
      this.#write(entries, WAIT_FOR_LOCKS),
    )
  }

  /**
   * Records one event, beside others, and resolves once it is committed. One that the database refuses fails alone.
   *
   * @throws DatabaseError if the database failed: then it was not recorded, or `written` is `unknown`
   * @throws OverloadedError if too many wait already, or too many for rows that are locked: then it was not recorded
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
        if (result === undefined) entry.reject(new Error('an event has no result'))
        // Blocked, locked (all others would wait as well), or not there at all, which is rare.
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

/** Tells all of a list what has become of their events. */
type Settle = () => void

/** Entries that wait, and are written in lists: so many lists at once, each as long as what has come meanwhile. */
class BatchQueue {
  readonly #concurrency: number
  readonly #maxWaiting: number
  /** Must not reject. */
  readonly #write: (entries: readonly Entry[]) => Promise<Settle>
  #waiting: Entry[] = []
  #writing = 0

  constructor(
    listsAtOnce: number,
    mostWaiting: number,
    write: (entries: readonly Entry[]) => Promise<Settle>,
  ) {
    this.#concurrency = listsAtOnce
    this.#maxWaiting = mostWaiting
    this.#write = write
  }

  add(entry: Entry): void {
    if (this.#waiting.length >= this.#maxWaiting) {
      entry.reject(new OverloadedError(`${this.#maxWaiting} events wait to be recorded`))
      return
    }
    this.#waiting.push(entry)
    if (this.#writing === this.#concurrency) return
    this.#writing += 1
    // Not before all that has arrived by now has been read: a list of due attempts, requests of several connections.
    setImmediate(() => void this.#writeAll())
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const tell = await this.#write(this.#waiting.splice(0, MAX_BATCH_SIZE))
      // Once the next list has been sent: dozens of answers take as long as the database does for a list.
      setImmediate(tell)
    }
    this.#writing -= 1
  }
}
