// The one path by which anything that happens to messages reaches the database: lock the rows, decide each
// event, write rows and jobs, all in one transaction. It takes a list, so that under load one transaction
// serves many events.
import { setTimeout as sleep } from 'node:timers/promises'
import { lockMessages, updateMessages } from '../db/messages.ts'
import type { Database, Db, Transaction } from '../postgres/pool.ts'
import { decide } from '../delivery/decide.ts'
import type { JobRef, Context, Decision } from '../delivery/decision.ts'
import { isAbout, type Proof } from '../delivery/message-proof.ts'
import type { Event, Message } from '../delivery/message.ts'
import type { RetryPolicy } from '../delivery/retry-policy.ts'
import { DatabaseError } from '../shared/errors.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { jobId, type MessageJob, type Queue, type ScheduledJob } from '../jobs/queue.ts'

export interface RecordDeps {
  readonly database: Database
  readonly queue: Queue
  readonly policy: RetryPolicy
  readonly metrics: Metrics
  /** Draws in [0, 1), for the jitter. */
  readonly random: () => number
}

/**
 * Something that happened to a message. The message is named by its id, with what proves that the id is still this
 * message's; by its id alone, if it does no harm to meet another; or, where the id is not known, by its sid.
 */
export interface MessageEvent {
  readonly target: { readonly id: number; readonly proof?: Proof } | { readonly sid: string }
  readonly event: Event
}

export type RecordResult =
  | { readonly known: false }
  /** `before` is the message as the event found it. */
  | { readonly known: true; readonly before: Message; readonly decision: Decision }

export interface LockWait {
  /** Whether to wait for messages that somebody else has locked, or to leave them out. */
  readonly lockedRows: 'wait' | 'skip'
  /** The longest wait for a lock, such as one that a trigger of the app's takes. Null for the session's time-out. */
  readonly lockTimeoutMs: number | null
}

export const WAIT_FOR_LOCKS: LockWait = { lockedRows: 'wait', lockTimeoutMs: null }

/**
 * Records what happened, in order, in one transaction, and returns what was decided of each.
 *
 * @throws DatabaseError if the database failed: then nothing was recorded, or `written` is `unknown`; or if it did not
 *   change one of the rows
 */
export async function recordEvents(
  deps: RecordDeps,
  messageEvents: readonly MessageEvent[],
  lockWait: LockWait = WAIT_FOR_LOCKS,
): Promise<RecordResult[]> {
  const results = await recordTogether(deps, messageEvents, lockWait)
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
}

/** @throws DatabaseError if the transaction failed: then nothing was recorded, or `written` is `unknown` */
async function recordTogether(
  deps: RecordDeps,
  messageEvents: readonly MessageEvent[],
  lockWait: LockWait,
): Promise<PromiseSettledResult<RecordResult>[]> {
  const { lockedRows, lockTimeoutMs } = lockWait
  const { batch, recorded } = await deps.database.transaction(async (tx) => {
    const batch = new Batch(await lockRows(tx.atBegin, messageEvents, lockedRows))
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

const NOT_WRITTEN =
  'The database kept the change out of the row, without an error: a trigger, a rule or row-level security of ' +
  'sms_usage_logs does so'

/** What could not be written together is tried again in pieces of this size, then one by one. */
const PIECE_SIZE = 10

/** A row that somebody blocks must not hold up the others of its batch for long. */
const PIECE_LOCK_TIMEOUT_MS = 100

/** Twilio waits 15 seconds for the answer to a callback. What was not tried again by then fails with its batch. */
const ISOLATE_WITHIN_MS = 4_000

/**
 * The same, but what concerns one row (a constraint, a trigger of the app's, a lock, a conflict, a time-out) fails alone:
 * the batch is tried again in pieces until the row is found. If the database is lost, all fail.
 */
export async function recordIsolated(
  deps: RecordDeps,
  messageEvents: readonly MessageEvent[],
  lockWait: LockWait = WAIT_FOR_LOCKS,
): Promise<PromiseSettledResult<RecordResult>[]> {
  try {
    return await recordTogether(deps, messageEvents, lockWait)
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
  givenUpMs: number,
): Promise<PromiseSettledResult<RecordResult>[]> {
  if (messageEvents.length <= 1 || !concernsRows(failure))
    return messageEvents.map(() => ({ status: 'rejected', reason: failure }))
  const size = messageEvents.length > PIECE_SIZE ? PIECE_SIZE : 1
  const results: PromiseSettledResult<RecordResult>[] = []
  let lost: unknown
  for (let start = 0; start < messageEvents.length; start += size) {
    const piece = messageEvents.slice(start, start + size)
    if (lost !== undefined || performance.now() > givenUpMs) {
      results.push(...piece.map(() => ({ status: 'rejected' as const, reason: lost ?? failure })))
      continue
    }
    try {
      results.push(...(await recordTogether(deps, piece, lockWait)))
    } catch (error) {
      if (!concernsRows(error)) lost = error
      results.push(...(await recordInPieces(deps, piece, lockWait, error, givenUpMs)))
    }
  }
  return results
}

function concernsRows(error: unknown): boolean {
  return error instanceof DatabaseError && error.scope !== 'database'
}

/**
 * What only this process knows must not be lost to a database that is away for a moment, nor to a commit whose answer
 * got lost: it is recorded again, which does no harm if it was recorded already. Not what the database refuses.
 *
 * @param afterMs the pauses before each further try
 * @param withinMs no further try starts later
 * @throws DatabaseError if the last try failed as well
 */
export async function retryOnDatabaseError<T>(
  record: () => Promise<T>,
  afterMs: readonly number[],
  withinMs = Number.POSITIVE_INFINITY,
): Promise<T> {
  const startedMs = performance.now()
  for (const delayMs of afterMs) {
    try {
      return await record()
    } catch (error) {
      const isOutOfTime = performance.now() - startedMs + delayMs > withinMs
      if (isOutOfTime || !(error instanceof DatabaseError) || error.isRefusal) throw error
      await sleep(delayMs)
    }
  }
  return record()
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

/** Messages and jobs as a batch of events leaves them. Several events of one message build on each other. */
class Batch {
  readonly #now = new Map<number, Date>()
  readonly #messages = new Map<number, Message>()
  readonly #idsBySid = new Map<string, number>()
  readonly #changed = new Set<number>()
  readonly #written = new Set<number>()
  readonly #scheduled = new Map<string, ScheduledJob>()
  readonly #unscheduled = new Map<string, MessageJob>()

  constructor(rows: Awaited<ReturnType<typeof lockMessages>>) {
    for (const { message, now } of rows) {
      this.#messages.set(message.id, message)
      this.#now.set(message.id, now)
      if (message.sid !== null) this.#idsBySid.set(message.sid, message.id)
    }
  }

  apply(
    { target, event }: MessageEvent,
    { policy, random }: Pick<RecordDeps, 'policy' | 'random'>,
  ): RecordResult {
    const id = 'id' in target ? target.id : this.#idsBySid.get(target.sid)
    const before = id === undefined ? undefined : this.#messages.get(id)
    const now = id === undefined ? undefined : this.#now.get(id)
    if (before === undefined || now === undefined) return { known: false }
    if ('id' in target && target.proof !== undefined && !isAbout(before, target.proof))
      return { known: false }
    const context: Context = { policy, now, random: random() }
    const decision = decide(before, event, context)
    this.#carryOut(decision)
    return { known: true, before, decision }
  }

  #carryOut(decision: Decision): void {
    switch (decision.kind) {
      case 'ignore':
        return
      case 'record':
      case 'submit':
      case 'inquire':
        this.#change(decision.message)
        return
      case 'schedule': {
        const { message, job, at, replaces } = decision
        this.#change(message)
        if (replaces !== null) this.#unschedule(message, replaces)
        const scheduled = { ...toMessageJob(message, job), at }
        this.#scheduled.set(jobId(scheduled), scheduled)
        return
      }
      case 'unschedule': {
        const { message, job } = decision
        this.#change(message)
        this.#unschedule(message, job)
        return
      }
    }
  }

  #unschedule(message: Message, job: JobRef): void {
    const unscheduled = toMessageJob(message, job)
    const id = jobId(unscheduled)
    // Scheduled by an earlier event of this batch, it does not exist yet.
    if (!this.#scheduled.delete(id)) this.#unscheduled.set(id, unscheduled)
  }

  #change(message: Message): void {
    this.#messages.set(message.id, message)
    this.#changed.add(message.id)
  }

  async write(tx: Transaction, queue: Queue): Promise<void> {
    if (this.#changed.size === 0) return
    await queue.unschedule(tx, [...this.#unscheduled.values()])
    const changed = [...this.#messages.values()].filter(({ id }) => this.#changed.has(id))
    updateMessages(tx, changed, (ids) => {
      for (const id of ids) this.#written.add(id)
    })
    await queue.schedule(tx.atCommit, [...this.#scheduled.values()])
  }

  /** Once the transaction is committed: whether the row is as it was decided. */
  isWritten(id: number): boolean {
    return this.#written.has(id)
  }
}

function toMessageJob({ id: messageId, key }: Message, job: JobRef): MessageJob {
  return { messageId, key, ...job }
}
