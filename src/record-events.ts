// The one path by which anything that happens to messages reaches the database: lock the rows, decide each
// event, write rows and jobs, all in one transaction. It takes a list, so that under load one transaction
// serves many events.
import { setTimeout as sleep } from 'node:timers/promises'
import { lockMessages, updateMessages } from './db/messages.ts'
import type { Database, Db, Transaction } from './db/pool.ts'
import { decide } from './delivery/decide.ts'
import type { Alarm, Circumstances, Decision } from './delivery/decision.ts'
import type { Event, Message } from './delivery/message.ts'
import type { RetryPolicy } from './delivery/retry-policy.ts'
import { DatabaseError } from './errors.ts'
import type { Metrics } from './metrics.ts'
import { jobId, type Queue, type ScheduledAlarm } from './queue.ts'

export interface RecordDeps {
  readonly database: Database
  readonly queue: Queue
  readonly policy: RetryPolicy
  readonly metrics: Metrics
  /** Draws in [0, 1), for the jitter. */
  readonly random: () => number
}

/** Something that happened to a message, named by its id or, where that is not known, by its sid. */
export interface Happening {
  readonly target: { readonly id: number } | { readonly sid: string }
  readonly event: Event
}

export type Recorded =
  | { readonly known: false }
  /** `before` is the message as the event found it. */
  | { readonly known: true; readonly before: Message; readonly decision: Decision }

/**
 * Records what happened, in order, and returns what was decided of each.
 *
 * @param whatIsLocked by somebody else: waited for, or left out as if it were not known
 * @throws DatabaseError if the database failed: then nothing was recorded, or `written` is `unknown`
 */
export async function recordEvents(
  deps: RecordDeps,
  happenings: readonly Happening[],
  whatIsLocked: 'wait' | 'skip' = 'wait',
): Promise<Recorded[]> {
  const recorded = await deps.database.transaction(async (tx) => {
    const batch = new Batch(await lockRows(tx, happenings, whatIsLocked))
    const decided = happenings.map((happening) => batch.apply(happening, deps))
    await batch.write(tx, deps.queue)
    return decided
  })
  deps.metrics.listed(happenings.length)
  for (const each of recorded) if (each.known) deps.metrics.decided(each.before, each.decision)
  return recorded
}

/**
 * The same, but what the database refuses (by a constraint or a trigger of the app's) fails alone: the list is halved
 * until it is found. If the database is lost, all fail.
 */
export async function recordEach(
  deps: RecordDeps,
  happenings: readonly Happening[],
  whatIsLocked: 'wait' | 'skip' = 'wait',
): Promise<PromiseSettledResult<Recorded>[]> {
  try {
    const recorded = await recordEvents(deps, happenings, whatIsLocked)
    return recorded.map((value) => ({ status: 'fulfilled', value }))
  } catch (reason) {
    const isLost = reason instanceof DatabaseError && !reason.isRefusal
    if (isLost || happenings.length <= 1) return happenings.map(() => ({ status: 'rejected', reason }))
    const middle = Math.ceil(happenings.length / 2)
    const before = await recordEach(deps, happenings.slice(0, middle), whatIsLocked)
    return [...before, ...(await recordEach(deps, happenings.slice(middle), whatIsLocked))]
  }
}

/**
 * What only this process knows must not be lost to a database that is away for a moment, nor to a commit whose answer
 * got lost: it is recorded again, which does no harm if it was recorded already.
 *
 * @param afterMs the pauses before each further try
 * @param withinMs no further try starts later
 * @throws DatabaseError if the last try failed as well
 */
export async function untilRecorded<T>(
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
      if (isOutOfTime || !(error instanceof DatabaseError)) throw error
      await sleep(delayMs)
    }
  }
  return record()
}

async function lockRows(
  tx: Db,
  happenings: readonly Happening[],
  whatIsLocked: 'wait' | 'skip',
): ReturnType<typeof lockMessages> {
  const ids = happenings.flatMap(({ target }) => ('id' in target ? [target.id] : []))
  const sids = happenings.flatMap(({ target }) => ('sid' in target ? [target.sid] : []))
  return lockMessages(tx, ids, sids, whatIsLocked)
}

/** Messages and jobs as a batch of events leaves them. Several events of one message build on each other. */
class Batch {
  readonly #now = new Map<number, Date>()
  readonly #messages = new Map<number, Message>()
  readonly #idsBySid = new Map<string, number>()
  readonly #changed = new Set<number>()
  readonly #scheduled = new Map<string, ScheduledAlarm>()
  readonly #unscheduled = new Map<string, Omit<ScheduledAlarm, 'at'>>()

  constructor(rows: Awaited<ReturnType<typeof lockMessages>>) {
    for (const { message, now } of rows) {
      this.#messages.set(message.id, message)
      this.#now.set(message.id, now)
      if (message.sid !== null) this.#idsBySid.set(message.sid, message.id)
    }
  }

  apply({ target, event }: Happening, { policy, random }: Pick<RecordDeps, 'policy' | 'random'>): Recorded {
    const id = 'id' in target ? target.id : this.#idsBySid.get(target.sid)
    const before = id === undefined ? undefined : this.#messages.get(id)
    const now = id === undefined ? undefined : this.#now.get(id)
    if (before === undefined || now === undefined) return { known: false }
    const circumstances: Circumstances = { policy, now, random: random() }
    const decision = decide(before, event, circumstances)
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
        const { message, alarm, at, replaces } = decision
        this.#change(message)
        if (replaces !== null) this.#unschedule(message.id, replaces)
        this.#scheduled.set(jobId(message.id, alarm), { messageId: message.id, alarm, at })
        return
      }
      case 'unschedule': {
        const { message, alarm } = decision
        this.#change(message)
        this.#unschedule(message.id, alarm)
        return
      }
    }
  }

  #unschedule(messageId: number, alarm: Alarm): void {
    const id = jobId(messageId, alarm)
    // Scheduled by an earlier event of this batch, it does not exist yet.
    if (!this.#scheduled.delete(id)) this.#unscheduled.set(id, { messageId, alarm })
  }

  #change(message: Message): void {
    this.#messages.set(message.id, message)
    this.#changed.add(message.id)
  }

  async write(tx: Transaction, queue: Queue): Promise<void> {
    if (this.#changed.size === 0) return
    await queue.unschedule(tx, [...this.#unscheduled.values()])
    await updateMessages(
      tx.atCommit,
      [...this.#messages.values()].filter(({ id }) => this.#changed.has(id)),
    )
    await queue.schedule(tx.atCommit, [...this.#scheduled.values()])
  }
}
