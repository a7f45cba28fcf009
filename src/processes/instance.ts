// One running process (of a role: in a demo, one process has several) and its row in the database, by which others know
// that it lives and what it has counted. Writing it never disturbs the work: one short statement every 15 s, one at a
// time; if it fails, the next one says the same and more.
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import {
  insertInstance,
  hasExitedInstances,
  lockExitedMetrics,
  type Role,
  removeExitedInstances,
  updateInstance,
  writeExitedMetrics,
} from '../db/instances.ts'
import type { Database } from '../postgres/pool.ts'
import { errorFields, type Logger } from '../shared/log.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { minus, type Snapshot, sum, withoutGauges } from '../metrics/metrics-snapshot.ts'
import { readVersion } from '../shared/version.ts'

const WRITE_EVERY_MS = 15_000

/** Some thirty times what a snapshot comes to. */
const MAX_SNAPSHOT = 1_000_000

export interface InstanceDeps {
  readonly database: Database
  readonly metrics: Metrics
  readonly logger: Logger
}

export class Instance {
  readonly #deps: InstanceDeps
  readonly #role: Role
  readonly #startedMs = performance.now()
  #id: string = randomUUID()
  /** What the row says, as far as we know; null while there is none. */
  #written: Snapshot | null = null
  /** What was counted with the departed, when this process was taken for dead. */
  #departed: Snapshot = []
  #writing: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(deps: InstanceDeps, role: Role) {
    this.#deps = deps
    this.#role = role
  }

  /** Writes the row now and every 15 s; resolves after the first time. Never rejects. Can be called again. */
  async start(): Promise<void> {
    if (this.#timer !== undefined || this.#isStopped) return
    this.#timer = setInterval(() => void this.#writeOrLog(), WRITE_EVERY_MS).unref()
    await this.#writeOrLog()
  }

  /**
   * Writes the row, unless that is being done already.
   *
   * @throws DatabaseError
   */
  async write(): Promise<void> {
    // A row that came after the stop would count everything once more.
    if (this.#isStopped) return
    void this.start()
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined
    })
    await this.#writing
  }

  /** The last figures are counted with the departed at once. Never rejects: otherwise others do so a minute later. */
  async stop(): Promise<void> {
    if (this.#timer === undefined || this.#isStopped) return
    this.#isStopped = true
    clearInterval(this.#timer)
    try {
      // What is being written may be a moment old.
      await this.#writing?.catch(() => undefined)
      await this.#write()
      await foldGone(this.#deps.database, this.#id)
    } catch (error) {
      this.#logFailure(error)
    }
  }

  async #writeOrLog(): Promise<void> {
    await this.write().catch((error: unknown) => this.#logFailure(error))
  }

  #logFailure(error: unknown): void {
    this.#deps.logger.debug('The figures of this process could not be written', errorFields(error))
  }

  async #write(): Promise<void> {
    const { database } = this.#deps
    if (this.#written !== null) {
      const snapshot = await this.#snapshot()
      if (await updateInstance(database, this.#id, toJson(snapshot))) {
        this.#written = snapshot
        return
      }
      // Suspended or cut off for a minute, we were taken for dead. What the row said is counted with the departed.
      this.#departed = await sum([this.#departed, withoutGauges(this.#written)])
      this.#written = null
      this.#id = randomUUID()
    }
    const snapshot = await this.#snapshot()
    await insertInstance(database, this.#describe(), toJson(snapshot))
    this.#written = snapshot
    // Rows come with processes that start; so each that starts removes those of the dead, and the table stays small.
    if (await hasExitedInstances(database)) await foldGone(database, null)
  }

  async #snapshot(): Promise<Snapshot> {
    return minus(await this.#deps.metrics.snapshot(), this.#departed)
  }

  #describe(): Parameters<typeof insertInstance>[1] {
    const ageSeconds = (performance.now() - this.#startedMs) / 1000
    const version = readVersion()
    return { id: this.#id, role: this.#role, host: hostname(), pid: process.pid, version, ageSeconds }
  }
}

/** Adds what those have counted that are gone, and this one, to the row of the departed. Each is added by one process. */
async function foldGone(database: Database, id: string | null): Promise<void> {
  await database.transaction(async (tx) => {
    const departed = await lockExitedMetrics(tx)
    const gone = await removeExitedInstances(tx, id)
    if (gone.length === 0) return
    const all = [departed, ...gone].map(toSnapshot).map(withoutGauges)
    await writeExitedMetrics(tx.atCommit, toJson(await sum(all)))
  })
}

/** As it stands in the database. Whatever else stands there counts as nothing. */
export function toSnapshot(stored: unknown): Snapshot {
  return Array.isArray(stored) ? (stored as Snapshot) : []
}

function toJson(snapshot: Snapshot): string {
  const json = JSON.stringify(snapshot)
  if (json.length > MAX_SNAPSHOT) throw new Error(`A snapshot of ${json.length} characters is not written`)
  return json
}
