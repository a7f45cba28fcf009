// Natural batches: what happens while one list of events is being written is the next list. There is no timer, so an
// event that comes alone is written at once; and the more there are, the less each of them costs.
import pLimit, { type LimitFunction } from 'p-limit'
import { OverloadedError } from './errors.ts'
import type { Logger } from './log.ts'
import { type Happening, type RecordDeps, type Recorded, recordEach } from './record-events.ts'

/** A transaction of so many takes about as long as a disk's flush; more would only make the first one wait. */
const MOST_AT_ONCE = 100

/** While the database writes the one list, this process decides the next. */
const LISTS_AT_ONCE = 2

/** Beyond it, whoever brings one is better told to come again. */
const MOST_WAITING = 2_000

/** Events of rows that somebody has locked. Each holds a connection while it waits, for seconds if it must. */
const LOCKED_AT_ONCE = 2
const MOST_LOCKED = 100

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
  readonly #listsAtOnce: number
  readonly #locked: LimitFunction
  #waiting: Entry[] = []
  #writing = 0

  /** @param connections how many the process has: lists and locked rows leave one to everything else, if they can */
  constructor(deps: RecordDeps, connections: number) {
    this.#deps = deps
    this.#listsAtOnce = clamp(connections - 2, 1, LISTS_AT_ONCE)
    this.#locked = pLimit(clamp(connections - this.#listsAtOnce - 1, 1, LOCKED_AT_ONCE))
  }

  /**
   * Records one event, beside others, and resolves once it is committed. One that the database refuses fails alone.
   *
   * @throws DatabaseError if the database failed: then it was not recorded, or `written` is `unknown`
   * @throws OverloadedError if too many wait already, or too many for rows that are locked: then it was not recorded
   */
  record(happening: Happening): Promise<Recorded> {
    if (this.#waiting.length >= MOST_WAITING) {
      return Promise.reject(new OverloadedError(`${MOST_WAITING} events wait to be recorded`))
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ happening, resolve, reject })
      if (this.#writing === this.#listsAtOnce) return
      this.#writing += 1
      // Not before all that has arrived by now has been read: a list of due attempts, requests of several connections.
      setImmediate(() => void this.#writeAll())
    })
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) await this.#write(this.#waiting.splice(0, MOST_AT_ONCE))
    this.#writing -= 1
  }

  /** Never rejects. A row that somebody has locked is not waited for here: all others would wait as well. */
  async #write(entries: readonly Entry[]): Promise<void> {
    const happenings = entries.map(({ happening }) => happening)
    const results = await recordEach(this.#deps, happenings, 'skip')
    for (const [i, entry] of entries.entries()) {
      const result = results[i]
      if (result === undefined) entry.reject(new Error('an event has no result'))
      else if (result.status === 'rejected') entry.reject(result.reason)
      else if (result.value.known) entry.resolve(result.value)
      // Locked, or not there at all, which is rare.
      else if (this.#locked.pendingCount >= MOST_LOCKED) entry.reject(new OverloadedError(TOO_MANY_LOCKED))
      else void this.#locked(() => this.#waitAndWrite(entry))
    }
  }

  async #waitAndWrite({ happening, resolve, reject }: Entry): Promise<void> {
    const [result] = await recordEach(this.#deps, [happening], 'wait')
    if (result?.status === 'fulfilled') resolve(result.value)
    else reject(result?.reason)
  }
}

const TOO_MANY_LOCKED = `${MOST_LOCKED} events wait for messages that are locked, or not there`

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most)
}
