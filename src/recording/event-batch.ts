// A batch of events, decided one after the other on the locked messages, and written in the same transaction.
import { type StoredAccountState, writeAccountState } from '../db/account-row.ts'
import { type LockedMessage, updateMessages, updateMessagesNow } from '../db/messages.ts'
import { accountSignal } from '../delivery/account-signal.ts'
import { type AccountState, afterSignal } from '../delivery/account-state.ts'
import { entriesOf } from '../delivery/attempts.ts'
import { decide } from '../delivery/decide.ts'
import type { Circumstances, Context, Decision, JobRef } from '../delivery/decision.ts'
import { isAbout, type Proof } from '../delivery/message-proof.ts'
import type { Event, Message } from '../delivery/message.ts'
import { type DecidedOutcome, isOurWord, outcomeOf } from '../delivery/outcome.ts'
import type { RetryPolicy } from '../delivery/retry-policy.ts'
import { jobId, type MessageJob } from '../jobs/job-id.ts'
import type { Queue, ScheduledJob } from '../jobs/queue.ts'
import type { Transaction } from '../postgres/pool.ts'

/**
 * An event and its message. The target is an id with a proof that the id still belongs to this message. The proof is
 * left out if an event for another message would do no harm. If the id is unknown, the target is a sid.
 */
export interface MessageEvent {
  readonly target: { readonly id: number; readonly proof?: Proof } | { readonly sid: string }
  readonly event: Event
}

/** The parts of a decision's context that all events share. */
export interface ContextDeps {
  readonly policy: RetryPolicy
  readonly circumstances: Circumstances
  /** Returns a random number in [0, 1), for the jitter. */
  readonly random: () => number
}

export type RecordResult =
  /** No message belongs to the target. */
  | { readonly known: false }
  /** `before` is the message before the event. For `traceparent`, see `LockedMessage`. */
  | {
      readonly known: true
      readonly before: Message
      readonly decision: Decision
      readonly traceparent: string | null
    }

/** The messages and jobs after a batch of events. Events of the same message are applied one after the other. */
export class EventBatch {
  readonly #rows = new Map<number, LockedMessage>()
  readonly #messages = new Map<number, Message>()
  readonly #idsBySid = new Map<string, number>()
  readonly #changed = new Set<number>()
  readonly #written = new Set<number>()
  readonly #scheduled = new Map<string, ScheduledJob>()
  readonly #unscheduled = new Map<string, MessageJob>()
  readonly #outcomes: DecidedOutcome[] = []
  readonly #storedAccount: StoredAccountState
  #account: AccountState

  constructor(rows: readonly LockedMessage[], account: StoredAccountState) {
    this.#storedAccount = account
    this.#account = account.state
    for (const row of rows) {
      const { message } = row
      this.#rows.set(message.id, row)
      this.#messages.set(message.id, message)
      if (message.sid !== null) this.#idsBySid.set(message.sid, message.id)
    }
  }

  apply({ target, event }: MessageEvent, { policy, circumstances, random }: ContextDeps): RecordResult {
    const id = 'id' in target ? target.id : this.#idsBySid.get(target.sid)
    const before = id === undefined ? undefined : this.#messages.get(id)
    const row = id === undefined ? undefined : this.#rows.get(id)
    if (before === undefined || row === undefined) return { known: false }
    const { now, traceparent } = row
    if ('id' in target && target.proof !== undefined && !isAbout(before, target.proof))
      return { known: false }
    const context: Context = { policy, circumstances, account: this.#account, now, random: random() }
    const decision = decide(before, event, context)
    this.#applyDecision(decision)
    if (decision.kind !== 'ignore') {
      const signal = accountSignal({ ...before, attempts: entriesOf(before) }, decision.message, policy)
      if (signal !== null) this.#account = afterSignal(this.#account, signal, now, policy.delayScale)
      const outcome = outcomeOf(before, decision.message, now)
      if (outcome !== null) this.#outcomes.push(outcome)
    }
    return { known: true, before, decision, traceparent }
  }

  #applyDecision(decision: Decision): void {
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
    // If an earlier event of this batch scheduled the job, it is not in the database yet.
    if (!this.#scheduled.delete(id)) this.#unscheduled.set(id, unscheduled)
  }

  #change(message: Message): void {
    this.#messages.set(message.id, message)
    this.#changed.add(message.id)
  }

  async write(tx: Transaction, queue: Queue): Promise<void> {
    if (this.#changed.size === 0) return
    await queue.unschedule(tx, [...this.#unscheduled.values()])
    // Before the messages: their triggers may lock rows of the app, and a batch with failures has this lock by then.
    if (this.#account !== this.#storedAccount.state)
      await writeAccountState(tx.atCommit, this.#account, this.#storedAccount)
    const changed = [...this.#messages.values()].filter(({ id }) => this.#changed.has(id))
    const onWritten = (ids: readonly number[]): void => {
      for (const id of ids) this.#written.add(id)
    }
    // The app must not be told of a cancel or an expiry that the database discarded. Other outcomes are Twilio's word, and
    // true in any case, so the callbacks that bring them save a round trip.
    const isOurs = queue.outcomes.isRecorded && this.#outcomes.some(({ status }) => isOurWord(status))
    if (isOurs) onWritten(await updateMessagesNow(tx, changed))
    else updateMessages(tx, changed, onWritten)
    await queue.schedule(tx.atCommit, [...this.#scheduled.values()])
    await queue.outcomes.add(
      tx.atCommit,
      isOurs ? this.#outcomes.filter(({ messageId }) => this.#written.has(messageId)) : this.#outcomes,
    )
  }

  /** Whether the decision was written to the row. Known once the transaction is committed. */
  isWritten(id: number): boolean {
    return this.#written.has(id)
  }
}

function toMessageJob({ id: messageId, key }: Message, job: JobRef): MessageJob {
  return { messageId, key, ...job }
}
