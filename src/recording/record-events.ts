// All events change messages through this file. One transaction records a batch of events: it locks the rows, decides
// each event, and writes rows and jobs.
import { setTimeout as sleep } from 'node:timers/promises'
import { readAccountState } from '../db/account-row.ts'
import { lockMessages } from '../db/messages.ts'
import { isAccountFailure, type RetryPolicy, ruleFor } from '../delivery/retry-policy.ts'
import type { Queue } from '../jobs/queue.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { Database, Db } from '../postgres/pool.ts'
import { DatabaseError } from '../shared/errors.ts'
import { type ContextDeps, EventBatch, type MessageEvent, type RecordResult } from './event-batch.ts'

export interface RecordDeps extends ContextDeps {
  readonly database: Database
  readonly queue: Queue
  readonly metrics: Metrics
}

export type { MessageEvent, RecordResult }

export interface LockWait {
  /** Whether to wait for messages that another transaction has locked, or to skip them. */
  readonly lockedRows: 'wait' | 'skip'
  /**
   * The longest wait for a lock, such as one that a trigger of the app takes. Null for the lock time-out of the
   * session.
   */
  readonly lockTimeoutMs: number | null
}

export const WAIT_FOR_LOCKS: LockWait = { lockedRows: 'wait', lockTimeoutMs: null }

/**
 * Records the events in order, in one transaction, and returns the decision on each.
 *
 * @throws DatabaseError if the database failed (nothing was recorded, or `written` is `unknown`), or if it discarded
 *   the change of a row
 */
export async function recordEvents(
  deps: RecordDeps,
  messageEvents: readonly MessageEvent[],
  lockWait: LockWait = WAIT_FOR_LOCKS,
): Promise<RecordResult[]> {
  const results = await recordBatch(deps, messageEvents, lockWait)
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
}

/** @throws DatabaseError if the transaction failed: then nothing was recorded, or `written` is `unknown` */
async function recordBatch(
  deps: RecordDeps,
  messageEvents: readonly MessageEvent[],
  lockWait: LockWait,
): Promise<PromiseSettledResult<RecordResult>[]> {
  const { lockedRows, lockTimeoutMs } = lockWait
  const { batch, recorded } = await deps.database.transaction(async (tx) => {
    const [rows, account] = await Promise.all([
      lockRows(tx.atBegin, messageEvents, lockedRows),
      // After the messages in every transaction: two batches cannot deadlock.
      readAccountState(tx.atBegin, {
        isLocked: messageEvents.some((each) => mayFailAccount(each, deps.policy)),
      }),
    ])
    const batch = new EventBatch(rows, account)
    const recorded = messageEvents.map((messageEvent) => batch.apply(messageEvent, deps))
    await batch.write(tx, deps.queue)
    return { batch, recorded }
  }, lockTimeoutMs)
  deps.metrics.batched(messageEvents.length)
  return recorded.map((value) => {
    if (!value.known) return { status: 'fulfilled', value }
    const { before, decision } = value
    if (decision.kind !== 'ignore' && !batch.isWritten(before.id)) {
      return { status: 'rejected', reason: new DatabaseError(NOT_WRITTEN, { scope: 'refused_row' }) }
    }
    deps.metrics.decided(before, decision)
    return { status: 'fulfilled', value }
  })
}

export const NOT_WRITTEN =
  'The database discarded the change of the row without an error. Check the triggers, rules and row-level security of ' +
  'sms_usage_logs'

/** A batch that fails is retried in pieces of this size, then one event at a time. */
const PIECE_SIZE = 10

/** A blocked row must not delay the other rows of its batch for long. */
const PIECE_LOCK_TIMEOUT_MS = 100

/**
 * Twilio waits 15 seconds for the answer to a callback. Events that are not retried within this time fail with the
 * error of the batch.
 */
const ISOLATE_WITHIN_MS = 4_000

/**
 * Like `recordEvents`, but returns a result for each event. If the row of one event makes the batch fail (by a
 * constraint, a trigger of the app, a lock, a conflict or a time-out), the batch is retried in pieces until only that
 * event fails. If the database is unavailable, all events fail.
 */
export async function recordIsolated(
  deps: RecordDeps,
  messageEvents: readonly MessageEvent[],
  lockWait: LockWait = WAIT_FOR_LOCKS,
): Promise<PromiseSettledResult<RecordResult>[]> {
  try {
    return await recordBatch(deps, messageEvents, lockWait)
  } catch (error) {
    const deadlineMs = performance.now() + ISOLATE_WITHIN_MS
    return recordInPieces(
      deps,
      messageEvents,
      { ...lockWait, lockTimeoutMs: PIECE_LOCK_TIMEOUT_MS },
      error,
      deadlineMs,
    )
  }
}

async function recordInPieces(
  deps: RecordDeps,
  messageEvents: readonly MessageEvent[],
  lockWait: LockWait,
  failure: unknown,
  deadlineMs: number,
): Promise<PromiseSettledResult<RecordResult>[]> {
  if (messageEvents.length <= 1 || !concernsRows(failure))
    return messageEvents.map(() => ({ status: 'rejected', reason: failure }))
  const size = messageEvents.length > PIECE_SIZE ? PIECE_SIZE : 1
  const results: PromiseSettledResult<RecordResult>[] = []
  let databaseFailure: unknown
  for (let start = 0; start < messageEvents.length; start += size) {
    const piece = messageEvents.slice(start, start + size)
    if (databaseFailure !== undefined || performance.now() > deadlineMs) {
      results.push(...piece.map(() => ({ status: 'rejected' as const, reason: databaseFailure ?? failure })))
      continue
    }
    try {
      results.push(...(await recordBatch(deps, piece, lockWait)))
    } catch (error) {
      if (!concernsRows(error)) databaseFailure = error
      results.push(...(await recordInPieces(deps, piece, lockWait, error, deadlineMs)))
    }
  }
  return results
}

function concernsRows(error: unknown): boolean {
  return error instanceof DatabaseError && error.scope !== 'database'
}

/**
 * Retries `record` after a database error, such as a short outage or a lost answer to a commit. Use it for facts that
 * only this process knows. `record` may run twice, so it must do no harm then. A refusal is not retried.
 *
 * @param delaysMs the pause before each retry
 * @param options.withinMs no retry starts after this time
 * @param options.signal aborts the pause before a retry
 * @throws DatabaseError if the last try failed as well
 */
export async function retryOnDatabaseError<T>(
  record: () => Promise<T>,
  delaysMs: readonly number[],
  { withinMs = Number.POSITIVE_INFINITY, signal }: { withinMs?: number; signal?: AbortSignal } = {},
): Promise<T> {
  const startedMs = performance.now()
  for (const delayMs of delaysMs) {
    try {
      return await record()
    } catch (error) {
      const isOutOfTime = performance.now() - startedMs + delayMs > withinMs
      if (isOutOfTime || !(error instanceof DatabaseError) || error.isRefusal) throw error
      await sleep(delayMs, undefined, signal === undefined ? {} : { signal })
    }
  }
  return record()
}

/**
 * Whether the event may count towards a hold. Then the state of the account is locked, so that no failure is lost if two
 * processes count at the same time. Successes, which are frequent, do not lock it.
 */
function mayFailAccount({ event }: MessageEvent, policy: RetryPolicy): boolean {
  const reports = event.kind === 'listed' ? event.entries : [event.kind === 'answer' ? event.answer : event]
  return reports.some(
    (report) => 'errorCode' in report && isAccountFailure(ruleFor(policy, report.errorCode)),
  )
}

async function lockRows(
  tx: Db,
  messageEvents: readonly MessageEvent[],
  lockedRows: LockWait['lockedRows'],
): ReturnType<typeof lockMessages> {
  const ids = messageEvents.flatMap(({ target }) => ('id' in target ? [target.id] : []))
  const sids = messageEvents.flatMap(({ target }) => ('sid' in target ? [target.sid] : []))
  return lockMessages(tx, ids, sids, lockedRows)
}
