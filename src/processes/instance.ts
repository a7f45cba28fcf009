// One running instance of a role (the demo runs several roles in one process) and its row in the database. The row tells
// others that the instance is alive, and holds its metrics. Writing it is cheap: one short statement every 15 seconds. A
// failed write is not repeated; the next one contains the same and newer figures.
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import {
  insertInstance,
  type InstanceSettings,
  hasExitedInstances,
  lockExitedMetrics,
  type Role,
  removeExitedInstances,
  updateInstance,
  type InstanceFigures,
  writeExited,
} from '../db/instances.ts'
import type { Config } from '../config/config.ts'
import type { RetryPolicy } from '../delivery/retry-policy.ts'
import type { Database } from '../postgres/pool.ts'
import { errorFields, type Logger } from '../shared/log.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { minus, type Snapshot, sum, withoutGauges } from '../metrics/metrics-snapshot.ts'
import { readVersion } from '../shared/version.ts'
import { instanceSettings } from './instance-settings.ts'

const WRITE_EVERY_MS = 15_000

/** About thirty times the usual size. */
const MAX_SNAPSHOT_LENGTH = 1_000_000

export interface InstanceDeps {
  readonly database: Database
  readonly metrics: Metrics
  readonly logger: Logger
  readonly config: Pick<Config, 'outcomes' | 'twilio' | 'sendWindow'>
  readonly policy: RetryPolicy
}

export class Instance {
  readonly #deps: InstanceDeps
  readonly #role: Role
  readonly #settings: InstanceSettings
  readonly #startedMs = performance.now()
  #id: string = randomUUID()
  /** The snapshot in our row, as far as we know; null while there is no row. */
  #written: Snapshot | null = null
  /** The figures of this instance that are already in the row of exited instances, because it was considered dead. */
  #addedToExited: Snapshot = []
  #writing: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  /** @param deliversOutcomes whether it delivers outcomes to the app */
  constructor(deps: InstanceDeps, role: Role, deliversOutcomes = false) {
    this.#deps = deps
    this.#role = role
    this.#settings = instanceSettings(deps.config, deps.policy, deliversOutcomes)
  }

  /** Writes the row now and every 15 seconds. Resolves after the first write and never rejects. Idempotent. */
  async start(): Promise<void> {
    if (this.#timer !== undefined || this.#isStopped) return
    this.#timer = setInterval(() => void this.#writeOrLog(), WRITE_EVERY_MS).unref()
    await this.#writeOrLog()
  }

  /**
   * Writes the row. Joins a write that is already running.
   *
   * @throws DatabaseError
   */
  async write(): Promise<void> {
    // A row written after the stop would count everything twice.
    if (this.#isStopped) return
    void this.start()
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined
    })
    await this.#writing
  }

  /** Adds the final figures to the row of exited instances. Never rejects: if it fails, another instance does it later. */
  async stop(): Promise<void> {
    if (this.#timer === undefined || this.#isStopped) return
    this.#isStopped = true
    clearInterval(this.#timer)
    try {
      // A write that is already running may lack the latest figures.
      await this.#writing?.catch(() => undefined)
      await this.#write()
      await mergeExited(this.#deps.database, this.#id)
    } catch (error) {
      this.#logFailure(error)
    }
  }

  async #writeOrLog(): Promise<void> {
    await this.write().catch((error: unknown) => this.#logFailure(error))
  }

  #logFailure(error: unknown): void {
    this.#deps.logger.debug('Could not write the metrics of this process', errorFields(error))
  }

  async #write(): Promise<void> {
    const { database } = this.#deps
    if (this.#written !== null) {
      const snapshot = await this.#snapshot()
      if (await updateInstance(database, this.#id, this.#figures(snapshot))) {
        this.#written = snapshot
        return
      }
      // Our row is gone. After a minute without a write, another instance considered this one dead and moved its
      // figures to the row of exited instances.
      this.#addedToExited = await sum([this.#addedToExited, withoutGauges(this.#written)])
      this.#written = null
      this.#id = randomUUID()
    }
    const snapshot = await this.#snapshot()
    await insertInstance(database, this.#describe(), this.#figures(snapshot))
    this.#written = snapshot
    // Every start adds a row, so every start also removes the rows of dead instances. The table stays small.
    if (await hasExitedInstances(database)) await mergeExited(database, null)
  }

  async #snapshot(): Promise<Snapshot> {
    return minus(await this.#deps.metrics.snapshot(), this.#addedToExited)
  }

  #figures(snapshot: Snapshot): InstanceFigures {
    return { metrics: toJson(snapshot), activity: this.#deps.metrics.activity.ages() }
  }

  #describe(): Parameters<typeof insertInstance>[1] {
    const ageSeconds = (performance.now() - this.#startedMs) / 1000
    const version = readVersion()
    const settings = this.#settings
    return {
      id: this.#id,
      role: this.#role,
      host: hostname(),
      pid: process.pid,
      version,
      settings,
      ageSeconds,
    }
  }
}

/**
 * Adds the figures of dead instances, and of `id`, to the row of exited instances, and deletes their rows. Concurrent calls
 * count each instance once.
 */
async function mergeExited(database: Database, id: string | null): Promise<void> {
  await database.transaction(async (tx) => {
    const earlier = await lockExitedMetrics(tx)
    const exited = await removeExitedInstances(tx, id)
    if (exited.length === 0) return
    const all = [earlier, ...exited.map(({ metrics }) => metrics)].map(toSnapshot).map(withoutGauges)
    await writeExited(tx.atCommit, toJson(await sum(all)), exited)
  })
}

/** Reads a stored snapshot. Anything but an array counts as empty. */
export function toSnapshot(stored: unknown): Snapshot {
  return Array.isArray(stored) ? (stored as Snapshot) : []
}

function toJson(snapshot: Snapshot): string {
  const json = JSON.stringify(snapshot)
  if (json.length > MAX_SNAPSHOT_LENGTH) throw new Error(`Snapshot too large: ${json.length} characters`)
  return json
}
