// The jobs of outcomes: their data, and what the queue does with them. Apart from outcome-queue.ts, because the public
// types must not depend on those of pg-boss.
import type { DecidedOutcome } from '../delivery/outcome.ts'
import type { Db } from '../postgres/pool.ts'

/** The data of a job: the decision, without the recipient's number. Numbers in the reason are masked. */
export interface OutcomeJob extends Omit<DecidedOutcome, 'messageId' | 'to' | 'at' | 'corrects'> {
  /** The outcome's id. It stays the same when the outcome is delivered again. */
  readonly id: string
  readonly message: number
  /** ISO 8601. */
  readonly at: string
  /** The id of the outcome that this one corrects, which is delivered first. Null if it is not known. */
  readonly corrects: string | null
}

/** Where outcomes are delivered to. */
export type Receiver = 'handler' | 'webhook'

export interface DueOutcome {
  readonly job: OutcomeJob
  /** The receivers that have it already. */
  readonly received: readonly Receiver[]
}

/** What became of one delivery. */
export interface DeliveryResult {
  /** The receivers that have the outcome now. */
  readonly received: readonly Receiver[]
  /** Why a receiver does not have it; null if all have it. */
  readonly failure: string | null
}

/** An outcome that not every receiver has yet. */
export interface OpenOutcome {
  readonly job: OutcomeJob
  /** How often its delivery has failed. */
  readonly failures: number
  /** What the last delivery failed with. */
  readonly failure: string | null
  /** When it is delivered again; null if its repetitions are used up. */
  readonly nextAt: Date | null
}

export interface OutcomeQueue {
  /** Whether this process records outcomes. */
  readonly isRecorded: boolean
  /** Adds the outcomes in the caller's transaction, if this process records them. */
  add(tx: Db, outcomes: readonly DecidedOutcome[]): Promise<void>
  /** Calls `deliver` with due outcomes until the queue stops. If it throws, all of them are delivered again. */
  work(
    options: WorkOptions,
    deliver: (due: readonly DueOutcome[]) => Promise<DeliveryResult[]>,
  ): Promise<void>
  /**
   * The oldest outcomes that wait for a delivery, or that have used up their repetitions.
   *
   * @param limit at most 100,000
   * @throws DatabaseError
   */
  listOpen(which: 'waiting' | 'failed', limit: number): Promise<OpenOutcome[]>
  /**
   * Delivers failed outcomes again, with all their repetitions.
   *
   * @returns how many
   * @throws DatabaseError
   */
  redeliverFailed(): Promise<number>
}

export interface WorkOptions {
  /** Outcomes that are delivered at the same time. */
  readonly concurrency: number
  /** Outcomes that are taken together. All of them end before the next ones are taken. */
  readonly batchSize: number
}
