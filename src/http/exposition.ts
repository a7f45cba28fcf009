// What GET /metrics says: what all processes have counted, as it stands in the database, and what there is to be done.
// Every web process says the same, so that a scrape may reach any of them. Nothing is taken from this process's memory
// alone: with another one's answer in between, counters would seem to go back, which Prometheus takes for a restart.
import { type Backlog, readBacklog } from '../db/backlog.ts'
import { readMetrics, ROLES, type StoredMetrics } from '../db/instances.ts'
import { DELIVERY_STATUSES, isFinal } from '../delivery/status.ts'
import { DatabaseError } from '../shared/errors.ts'
import { type Instance, type InstanceDeps, toSnapshot } from '../processes/instance.ts'
import { gauge, type Snapshot, toText, withoutGauges } from '../metrics/metrics-snapshot.ts'

/** At the least; and so long that finding it, with very many messages in flight, takes a twentieth of the time at most. */
const BACKLOG_VALID_MS = 5_000

export class Exposition {
  readonly #deps: InstanceDeps
  readonly #instance: Instance
  #reading: Promise<string> | undefined
  #backlog: Promise<Backlog | null> | undefined
  #backlogValidUntilMs = 0

  constructor(deps: InstanceDeps, instance: Instance) {
    this.#deps = deps
    this.#instance = instance
  }

  /** In Prometheus' text format. Who asks while it is being read gets the same answer. */
  read(): Promise<string> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  async #read(): Promise<string> {
    const { database, metrics, logger } = this.#deps
    try {
      // Together: with the database silent, they take one time-out and not two.
      const [backlog] = await Promise.all([this.#readBacklog(), this.#instance.write()])
      const stored = await readMetrics(database)
      const snapshots = stored.map(({ isLive, metrics: each }) =>
        isLive ? toSnapshot(each) : withoutGauges(toSnapshot(each)),
      )
      return await toText([...snapshots, [databaseUp(1), instancesOf(stored)], toGauges(backlog)])
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error
      logger.warn('Metrics without the database', { why: error.message })
      const own = await metrics.snapshot()
      return toText([[databaseUp(0)], own.filter(({ type }) => type === 'gauge')])
    }
  }

  #readBacklog(): Promise<Backlog | null> {
    if (this.#backlog !== undefined && performance.now() < this.#backlogValidUntilMs) return this.#backlog
    const startedMs = performance.now()
    // Until it is known how long it takes: who asks meanwhile waits for the same answer.
    this.#backlogValidUntilMs = Number.POSITIVE_INFINITY
    this.#backlog = readBacklog(this.#deps.database).then(
      (backlog) => {
        const nowMs = performance.now()
        this.#backlogValidUntilMs = nowMs + Math.max(BACKLOG_VALID_MS, 20 * (nowMs - startedMs))
        return backlog
      },
      // A database too busy for it may well be able to tell all the rest.
      (error: Error) => {
        this.#deps.logger.warn('Metrics without the backlog', { why: error.message })
        this.#backlogValidUntilMs = performance.now() + BACKLOG_VALID_MS
        return null
      },
    )
    return this.#backlog
  }
}

function databaseUp(value: 0 | 1): Snapshot[number] {
  return gauge('sms_retry_database_up', 'Whether the database could be read.', [{ value, labels: {} }])
}

function instancesOf(stored: readonly StoredMetrics[]): Snapshot[number] {
  const values = ROLES.map((role) => ({
    value: stored.filter((each) => each.isLive && each.role === role).length,
    labels: { role },
  }))
  return gauge('sms_retry_instances', 'Processes that were seen within the last minute.', values)
}

const IN_FLIGHT = DELIVERY_STATUSES.filter((status) => status !== 'unknown' && !isFinal(status))

function toGauges(backlog: Backlog | null): Snapshot {
  if (backlog === null) return []
  const { byStatus, inDoubt, due, oldestDueAt, deferred, now } = backlog
  const oldestDueMs = oldestDueAt === null ? 0 : now.getTime() - oldestDueAt.getTime()
  const one = (name: string, help: string, value: number): Snapshot[number] =>
    gauge(`sms_retry_${name}`, help, [{ value, labels: {} }])
  const messages = IN_FLIGHT.map((status) => ({ value: byStatus[status] ?? 0, labels: { status } }))
  return [
    gauge('sms_retry_messages', 'Messages that are not final, by status.', messages),
    one('messages_in_doubt', 'Messages of which it is not known whether Twilio has them.', inDoubt),
    one('attempts_due', 'Attempts whose time has come.', due),
    one('attempts_deferred', 'Attempts whose time has not come yet.', deferred),
    one(
      'oldest_due_age_seconds',
      'How long the first attempt that is due has been waiting.',
      oldestDueMs / 1000,
    ),
  ]
}
