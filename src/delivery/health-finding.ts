// What an incident is described by (a finding), and the figures that findings are derived from (health.ts).
import type { AccountState } from './account-state.ts'
import type { CodeFigures } from './code-jump.ts'
import type { InstanceFacts } from './instance-agreement.ts'

export const FINDING_NAMES = [
  'no_worker',
  'queue_missing',
  'hold',
  'paused',
  'retries_overdue',
  'in_doubt',
  'callbacks_refused',
  'callbacks_stopped',
  'code_jumped',
  'outcomes_failed',
  'versions_differ',
  'settings_differ',
] as const

export type FindingName = (typeof FINDING_NAMES)[number]

export interface Finding {
  readonly name: FindingName
  /** `critical`: messages are lost or wait until a person acts. */
  readonly severity: 'critical' | 'warning'
  /** What is wrong, with the figure. */
  readonly sentence: string
  /** What to do, with the command. */
  readonly advice: string
  /** The page of the dashboard that shows the rows. */
  readonly path: string
}

/** A process that runs, or one that died lately. */
export interface ObservedInstance extends InstanceFacts {
  readonly startedAt: Date
  readonly seenAt: Date
  /** Null for a process of an older version, which does not report it. */
  readonly activity: {
    /** The latest claim of an attempt, if it is a worker. */
    readonly claimedAt: Date | null
    /** The latest status callback with a valid signature. */
    readonly callbackAt: Date | null
    /** Lookups that found a status that no callback had reported. */
    readonly missedAt: readonly Date[]
    /** Refused callbacks that certainly came from Twilio, one time for each message. */
    readonly refusedAt: readonly Date[]
  } | null
}

/** All times are by the database's clock. */
export interface HealthFigures {
  readonly now: Date
  readonly account: Pick<AccountState, 'hold' | 'pause' | 'workingSince'>
  readonly backlog: {
    readonly due: number
    readonly oldestDueAt: Date | null
    readonly deferred: number
    readonly inDoubt: number
    readonly oldestInDoubtAt: Date | null
  }
  readonly instances: readonly ObservedInstance[]
  readonly exited: {
    /** When an exited worker was last seen. */
    readonly workerSeenAt: Date | null
    /** The latest status callback at an exited process. */
    readonly callbackAt: Date | null
  }
  /** The time that SEND_RATE_PER_SECOND reserved last; long ago without a limit. */
  readonly rateReservedUntil: Date | null
  readonly queue: {
    readonly state: 'current' | 'outdated' | 'missing'
    /** Outcomes that failed all deliveries to the app. At most MAX_COUNTED_OUTCOMES are counted. */
    readonly failedOutcomes: number
  }
  readonly codes: CodeFigures
}

export const MAX_COUNTED_OUTCOMES = 1000

/** SEND_RATE_PER_SECOND reserves no time further ahead. */
export const MAX_RESERVED_SECONDS = 600

/** A process writes every 15 s. After four missed writes it counts as exited. */
export const LIVE_SECONDS = 60
