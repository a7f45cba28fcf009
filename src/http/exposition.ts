// The text of GET /metrics: the counters of all processes, as the database has them, the backlog, and a hold or pause. A
// scrape may reach any web process, so all of them return the same. Counters from one process's memory would go down
// between scrapes, which Prometheus takes for a restart.
import { type StoredAccountState, readAccountState } from '../db/account-row.ts'
import { type Backlog, countQueued, readBacklog } from '../db/backlog.ts'
import { readMetrics, ROLES, type StoredMetrics } from '../db/instances.ts'
import type { Circumstances } from '../delivery/decision.ts'
import { secondsBetween } from '../delivery/seconds.ts'
import { DELIVERY_STATUSES, isFinal } from '../delivery/status.ts'
import { FAILED_OUTCOME_QUEUE, OUTCOME_QUEUE } from '../jobs/queue-migration.ts'
import { CachedFigure } from '../shared/cached-figure.ts'
import { DatabaseError } from '../shared/errors.ts'
import { HealthWatch } from '../processes/health-watch.ts'
import { type Instance, type InstanceDeps, toSnapshot } from '../processes/instance.ts'
import { findingGauge } from './finding-gauge.ts'
import { gauge, type Snapshot, toText, withoutGauges } from '../metrics/metrics-snapshot.ts'
import { countWindowWaits } from '../metrics/window-waits.ts'

export interface ExpositionDeps extends InstanceDeps {
  readonly circumstances: Circumstances
}

export class Exposition {
  readonly #deps: ExpositionDeps
  readonly #instance: Instance
  readonly #health: HealthWatch
  readonly #backlog: CachedFigure<Backlog>
  readonly #windowWaits: CachedFigure<number>
  readonly #openOutcomes: CachedFigure<readonly number[]>
  #reading: Promise<string> | undefined

  constructor(deps: ExpositionDeps, instance: Instance, health = new HealthWatch(deps)) {
    this.#health = health
    this.#deps = deps
    this.#instance = instance
    const { database, circumstances, logger } = deps
    // A database too busy for one of these queries may still answer the others.
    const cached = <Value>(what: string, count: () => Promise<Value>): CachedFigure<Value> =>
      new CachedFigure(count, ({ message }) =>
        logger.warn(`Metrics served without ${what}`, { why: message }),
      )
    this.#backlog = cached('the backlog', () => readBacklog(database))
    this.#windowWaits = cached('the messages that wait for their send window', () =>
      countWindowWaits(database, circumstances),
    )
    this.#openOutcomes = cached('the open outcomes', () =>
      countQueued(database, [OUTCOME_QUEUE, FAILED_OUTCOME_QUEUE]),
    )
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
      // In parallel, so that an unresponsive database costs one time-out and not several.
      const [backlog, windowWaits, openOutcomes, account, findings] = await Promise.all([
        this.#backlog.read(),
        this.#windowWaits.read(),
        this.#openOutcomes.read(),
        readAccountState(database),
        this.#health.findings(),
        this.#instance.write(),
      ])
      const stored = await readMetrics(database)
      const snapshots = stored.map(({ isLive, metrics: each }) =>
        isLive ? toSnapshot(each) : withoutGauges(toSnapshot(each)),
      )
      return await toText([
        ...snapshots,
        [databaseUp(1), instancesOf(stored), ...holdOf(account), findingGauge(findings)],
        ...[toGauges(backlog), windowWaitsOf(windowWaits), openOutcomesOf(openOutcomes)],
      ])
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error
      logger.warn('Metrics served without the database', { why: error.message })
      const own = await metrics.snapshot()
      return toText([[databaseUp(0)], own.filter(({ type }) => type === 'gauge')])
    }
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

function holdOf({ state: { hold, pause }, now }: StoredAccountState): Snapshot {
  const kinds = Object.entries({ hold, pause })
  const age = (since: Date): number => Math.max(0, secondsBetween(since, now))
  return [
    gauge(
      'sms_retry_hold',
      'Whether sending is stopped: on hold, or paused by a person.',
      kinds.map(([kind, stop]) => ({ value: stop === null ? 0 : 1, labels: { kind } })),
    ),
    gauge(
      'sms_retry_hold_age_seconds',
      'How long sending has been stopped.',
      kinds.map(([kind, stop]) => ({ value: stop === null ? 0 : age(stop.since), labels: { kind } })),
    ),
  ]
}

function windowWaitsOf(messages: number | null): Snapshot {
  if (messages === null) return []
  const help = 'Messages whose next attempt waits for their send window to open.'
  return [gauge('sms_retry_messages_waiting_for_window', help, [{ value: messages, labels: {} }])]
}

const OUTCOME_STATES = ['waiting', 'failed'] as const

function openOutcomesOf(counts: readonly number[] | null): Snapshot {
  if (counts === null) return []
  const values = OUTCOME_STATES.map((state, i) => ({ value: counts[i] ?? 0, labels: { state } }))
  return [gauge('sms_retry_open_outcomes', 'Outcomes that the app does not have yet, by state.', values)]
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
