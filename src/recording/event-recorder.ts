// Natural batches: what happens while one list of events is being written is the next list. There is no timer, so an
// event that comes alone is written at once; and the more there are, the less each of them costs.
import { DatabaseError, OverloadedError } from '../shared/errors.ts'
import type { Logger } from '../shared/log.ts'
import type { RefusedRows } from './refused-rows.ts'
import {
  type Happening,
  type RecordDeps,
  type Recorded,
  recordEach,
  type Patience,
  WAITS,
} from './record-events.ts'

/** A transaction of so many takes about as long as a disk's flush; more would only make the first one wait. */
const MAX_AT_ONCE = 100

/** Beyond it, whoever brings one is better told to come again. */
const MAX_WAITING = 2_000

/** Lists of events whose rows somebody has locked. Each holds a connection while it waits, for seconds if it must. */
const LOCKED_AT_ONCE = 2
const MAX_LOCKED = 1_000

/** For the lists: what is locked, by the app or by a trigger of its own, waits aside. */
const BRIEF: Patience = { whatIsLocked: 'skip', lockTimeoutMs: 1_000 }

/** What the use cases need that record single events. */
export interface RecordingDeps extends RecordDeps {
  readonly recorder: EventRecorder
  readonly refused: RefusedRows
  readonly logger: Logger
}

interface Entry {
  readonly happening: Happening
  resolve(recorded: Recorded): void
  reject(reason: unknown): void
}

export class EventRecorder {
  readonly #deps: RecordDeps
  readonly #lane: Lane
  readonly #lockedLane: Lane

  /** @param connections how many the process has: lists and locked rows leave one to everything else, if they can */
  constructor(deps: RecordDeps, connections: number) {
    this.#deps = deps
    const locked = Math.min(Math.max(connections - 2, 1), LOCKED_AT_ONCE)
    this.#lane = new Lane(1, MAX_WAITING, (entries) => this.#write(entries, BRIEF))
    this.#lockedLane = new Lane(locked, MAX_LOCKED, (entries) => this.#write(entries, WAITS))
  }

  /**
   * Records one event, beside others, and resolves once it is committed. One that the database refuses fails alone.
   *
   * @throws DatabaseError if the database failed: then it was not recorded, or `written` is `unknown`
   * @throws OverloadedError if too many wait already, or too many for rows that are locked: then it was not recorded
   */
  record(happening: Happening): Promise<Recorded> {
    return new Promise((resolve, reject) => this.#lane.add({ happening, resolve, reject }))
  }

  /** Never rejects. */
  async #write(entries: readonly Entry[], patience: Patience): Promise<Tell> {
    const happenings = entries.map(({ happening }) => happening)
    const results = await recordEach(this.#deps, happenings, patience)
    return () => {
      for (const [i, entry] of entries.entries()) {
        const result = results[i]
        if (result === undefined) entry.reject(new Error('an event has no result'))
        // Blocked, locked (all others would wait as well), or not there at all, which is rare.
        else if (patience === BRIEF && isBlocked(result)) this.#lockedLane.add(entry)
        else if (result.status === 'rejected') entry.reject(result.reason)
        else entry.resolve(result.value)
      }
    }
  }
}

function isBlocked(result: PromiseSettledResult<Recorded>): boolean {
  if (result.status === 'fulfilled') return !result.value.known
  return result.reason instanceof DatabaseError && result.reason.scope === 'busy_row'
}

/** Tells all of a list what has become of their events. */
type Tell = () => void

/** Entries that wait, and are written in lists: so many lists at once, each as long as what has come meanwhile. */
class Lane {
  readonly #listsAtOnce: number
  readonly #mostWaiting: number
  /** Must not reject. */
  readonly #write: (entries: readonly Entry[]) => Promise<Tell>
  #waiting: Entry[] = []
  #writing = 0

  constructor(listsAtOnce: number, mostWaiting: number, write: (entries: readonly Entry[]) => Promise<Tell>) {
    this.#listsAtOnce = listsAtOnce
    this.#mostWaiting = mostWaiting
    this.#write = write
  }

  add(entry: Entry): void {
    if (this.#waiting.length >= this.#mostWaiting) {
      entry.reject(new OverloadedError(`${this.#mostWaiting} events wait to be recorded`))
      return
    }
    this.#waiting.push(entry)
    if (this.#writing === this.#listsAtOnce) return
    this.#writing += 1
    // Not before all that has arrived by now has been read: a list of due attempts, requests of several connections.
    setImmediate(() => void this.#writeAll())
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const tell = await this.#write(this.#waiting.splice(0, MAX_AT_ONCE))
      // Once the next list has been sent: dozens of answers take as long as the database does for a list.
      setImmediate(tell)
    }
    this.#writing -= 1
  }
}
