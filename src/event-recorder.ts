// Natural batches: what happens while one list of events is being written is the next list. There is no timer, so an
// event that comes alone is written at once; and the more there are, the less each of them costs.
import type { Database, RunTransaction, SeriesTask } from './db/pool.ts'
import { OverloadedError } from './errors.ts'
import type { Logger } from './log.ts'
import { type Happening, type RecordDeps, type Recorded, recordEach } from './record-events.ts'

/** A transaction of so many takes about as long as a disk's flush; more would only make the first one wait. */
const MOST_AT_ONCE = 100

/** Beyond it, whoever brings one is better told to come again. */
const MOST_WAITING = 2_000

/** Series of events whose rows somebody has locked. Each holds a connection while it waits, for seconds if it must. */
const LOCKED_AT_ONCE = 2
const MOST_LOCKED = 1_000

/** What the use cases need that record single events. */
export interface RecordingDeps extends RecordDeps {
  readonly recorder: EventRecorder
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
    const { database } = deps
    const locked = Math.min(Math.max(connections - 2, 1), LOCKED_AT_ONCE)
    this.#lane = new Lane(database, 1, MOST_WAITING, (...list) => this.#write('skip', ...list))
    this.#lockedLane = new Lane(database, locked, MOST_LOCKED, (...list) => this.#write('wait', ...list))
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
  async #write(
    whatIsLocked: 'skip' | 'wait',
    entries: readonly Entry[],
    transaction: RunTransaction,
  ): Promise<void> {
    const happenings = entries.map(({ happening }) => happening)
    const results = await recordEach(this.#deps, happenings, whatIsLocked, transaction)
    for (const [i, entry] of entries.entries()) {
      const result = results[i]
      if (result === undefined) entry.reject(new Error('an event has no result'))
      else if (result.status === 'rejected') entry.reject(result.reason)
      else if (result.value.known || whatIsLocked === 'wait') entry.resolve(result.value)
      // Locked (all others would wait as well), or not there at all, which is rare.
      else this.#lockedLane.add(entry)
    }
  }
}

/** Lists beside those whose turn it is: one is being committed, and the events of one are being told of it. */
const BEHIND = 2

type Write = (entries: readonly Entry[], transaction: RunTransaction) => Promise<void>

/** Entries that wait, and are written in lists: each of what has come while the one before was under way. */
class Lane {
  readonly #database: Database
  readonly #seriesAtOnce: number
  readonly #mostWaiting: number
  readonly #write: Write
  readonly #writing = new Set<Promise<void>>()
  #waiting: Entry[] = []
  #series = 0

  /** @param write must not reject */
  constructor(database: Database, seriesAtOnce: number, mostWaiting: number, write: Write) {
    this.#database = database
    this.#seriesAtOnce = seriesAtOnce
    this.#mostWaiting = mostWaiting
    this.#write = write
  }

  add(entry: Entry): void {
    if (this.#waiting.length >= this.#mostWaiting) {
      entry.reject(new OverloadedError(`${this.#mostWaiting} events wait to be recorded`))
      return
    }
    this.#waiting.push(entry)
    if (this.#series === this.#seriesAtOnce) return
    this.#series += 1
    // Not before all that has arrived by now has been read: a list of due attempts, requests of several connections.
    setImmediate(() => void this.#writeAll())
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.#database.series(() => this.#nextList())
      // What the database refuses is written once more, in parts, on other connections, of which it must not take all.
      if (!this.#hasRoom()) await Promise.race(this.#writing)
    }
    this.#series -= 1
  }

  #hasRoom(): boolean {
    return this.#writing.size < this.#seriesAtOnce + BEHIND
  }

  #nextList(): SeriesTask | null {
    const entries = this.#hasRoom() ? this.#waiting.splice(0, MOST_AT_ONCE) : []
    return entries.length === 0 ? null : (transaction) => this.#start(this.#write(entries, transaction))
  }

  #start(writing: Promise<void>): void {
    this.#writing.add(writing)
    void writing.then(() => this.#writing.delete(writing))
  }
}
