// The one path by which anything that happens to messages reaches the database: lock the rows, decide each
// event, write rows and jobs, all in one transaction. It takes a list, so that under load one transaction
// serves many events.
import { lockMessages, updateMessages } from './db/messages.ts'
import type { Database, Db } from './db/pool.ts'
import { decide } from './delivery/decide.ts'
import type { Circumstances, Decision } from './delivery/decision.ts'
import type { Event, Message } from './delivery/message.ts'
import type { RetryPolicy } from './delivery/retry-policy.ts'
import { jobId, type Queue, type ScheduledAlarm } from './queue.ts'

export interface RecordDeps {
  readonly database: Database
  readonly queue: Queue
  readonly policy: RetryPolicy
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
 * @throws DatabaseError if the database failed: then nothing was recorded
 */
export function recordEvents(deps: RecordDeps, happenings: readonly Happening[]): Promise<Recorded[]> {
  return deps.database.transaction(async (tx) => {
    const batch = new Batch(await lockRows(tx, happenings))
    const recorded = happenings.map((happening) => batch.apply(happening, deps))
    await batch.write(tx, deps.queue)
    return recorded
  })
}

async function lockRows(tx: Db, happenings: readonly Happening[]): ReturnType<typeof lockMessages> {
  const ids = happenings.flatMap(({ target }) => ('id' in target ? [target.id] : []))
  const sids = happenings.flatMap(({ target }) => ('sid' in target ? [target.sid] : []))
  return lockMessages(tx, ids, sids)
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
        this.#change(decision.message)
        return
      case 'schedule': {
        const { message, alarm, at } = decision
        this.#change(message)
        this.#scheduled.set(jobId(message.id, alarm), { messageId: message.id, alarm, at })
        return
      }
      case 'unschedule': {
        const { message, alarm } = decision
        this.#change(message)
        const id = jobId(message.id, alarm)
        // Scheduled by an earlier event of this batch, it does not exist yet.
        if (!this.#scheduled.delete(id)) this.#unscheduled.set(id, { messageId: message.id, alarm })
        return
      }
    }
  }

  #change(message: Message): void {
    this.#messages.set(message.id, message)
    this.#changed.add(message.id)
  }

  async write(tx: Db, queue: Queue): Promise<void> {
    if (this.#changed.size === 0) return
    await updateMessages(
      tx,
      [...this.#messages.values()].filter(({ id }) => this.#changed.has(id)),
    )
    await queue.unschedule(tx, [...this.#unscheduled.values()])
    await queue.schedule(tx, [...this.#scheduled.values()])
  }
}
