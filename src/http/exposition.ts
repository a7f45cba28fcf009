// The text of GET /metrics: the counters of all processes, as the database has them, the backlog, and a hold or pause. A
// scrape may reach any web process, so all of them return the same. Counters from one process's memory would go down
// between scrapes, which Prometheus takes for a restart.
import { readAccountState } from '../db/account-row.ts'
import { type Backlog, readBacklog } from '../db/backlog.ts'
import { readMetrics, ROLES, type StoredMetrics } from '../db/instances.ts'
import type { AccountState } from '../delivery/account-state.ts'
import { DELIVERY_STATUSES, isFinal } from '../delivery/status.ts'
import { DatabaseError } from '../shared/errors.ts'
import { HealthWatch } from '../processes/health-watch.ts'
import { type Instance, type InstanceDeps, toSnapshot } from '../processes/instance.ts'
import { findingGauge } from './finding-gauge.ts'
import { gauge, type Snapshot, toText, withoutGauges } from '../metrics/metrics-snapshot.ts'

/** The backlog is cached for at least this long, and for 20 times the duration of its query. */
const MIN_BACKLOG_AGE_MS = 5_000

export class Exposition {
  readonly #deps: InstanceDeps
  readonly #instance: Instance
  readonly #health: HealthWatch
  #reading: Promise<string> | undefined
  #backlog: Promise<Backlog | null> | undefined
  #backlogValidUntilMs = 0

  constructor(deps: InstanceDeps, instance: Instance, health = new HealthWatch(deps)) {
    this.#health = health
    this.#deps = deps
    this.#instance = instance
  }

  /** In Prometheus's text format. Concurrent calls share one read. */
  read(): Promise<string> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  async #read(): Promise<string> {
    const { database, metrics, logger } = this.#deps
    try {
      // In parallel, so that an unresponsive database costs one time-out and not two.
      const [backlog, { state }, findings] = await Promise.all([
        this.#readBacklog(),
        readAccountState(database),
        this.#health.findings(),
        this.#instance.write(),
      ])
      const stored = await readMetrics(database)
      const snapshots = stored.map(({ isLive, metrics: each }) =>
        isLive ? toSnapshot(each) : withoutGauges(toSnapshot(each)),
      )
      const own = [databaseUp(1), instancesOf(stored), holdOf(state), findingGauge(findings ?? [])]
      return await toText([...snapshots, own, toGauges(backlog)])
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error
      logger.warn('Metrics served without the database', { why: error.message })
      const own = await metrics.snapshot()
      return toText([[databaseUp(0)], own.filter(({ type }) => type === 'gauge')])
    }
  }

  #readBacklog(): Promise<Backlog | null> {
    if (this.#backlog !== undefined && performance.now() < this.#backlogValidUntilMs) return this.#backlog
    const startedMs = performance.now()
    // While the query runs, further calls wait for the same result.
    this.#backlogValidUntilMs = Number.POSITIVE_INFINITY
    this.#backlog = readBacklog(this.#deps.database).then(
      (backlog) => {
        const nowMs = performance.now()
        this.#backlogValidUntilMs = nowMs + Math.max(MIN_BACKLOG_AGE_MS, 20 * (nowMs - startedMs))
        return backlog
      },
      // A database too busy for this query may still answer the others.
      (error: Error) => {
        this.#deps.logger.warn('Metrics served without the backlog', { why: error.message })
        this.#backlogValidUntilMs = performance.now() + MIN_BACKLOG_AGE_MS
        return null
      },
    )
    return this.#backlog
  }
}

function databaseUp(value: 0 | 1): Snapshot[number] {
  return gauge('sms_retry_database_up', 'Whether the database can be read.', [{ value, labels: {} }])
}

function instancesOf(stored: readonly StoredMetrics[]): Snapshot[number] {
  const values = ROLES.map((role) => ({
    value: stored.filter((each) => each.isLive && each.role === role).length,
    labels: { role },
  }))
  return gauge('sms_retry_instances', 'Processes seen within the last minute.', values)
}

function holdOf({ hold, pause }: AccountState): Snapshot[number] {
  return gauge('sms_retry_hold', 'Whether sending is stopped: on hold, or paused by a person.', [
    { value: hold === null ? 0 : 1, labels: { kind: 'hold' } },
    { value: pause === null ? 0 : 1, labels: { kind: 'pause' } },
  ])
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
    gauge('sms_retry_messages', 'Messages without a final status, by status.', messages),
    one('messages_in_doubt', 'Messages for which it is unknown whether Twilio received them.', inDoubt),
    one('attempts_due', 'Attempts that are due.', due),
    one('attempts_deferred', 'Attempts scheduled for later.', deferred),
    one('oldest_due_age_seconds', 'How long the oldest due attempt has been waiting.', oldestDueMs / 1000),
  ]
}
