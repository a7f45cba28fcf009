// Plays a month with a policy. The product's own `decide` takes each decision; this file keeps the time, stores the
// messages, and makes the requests that `decide` asks for. No callback is lost, and no worker is late.
import { WORKING_ACCOUNT } from '../src/delivery/account-state.ts'
import { newAttempt } from '../src/delivery/attempts.ts'
import { decide } from '../src/delivery/decide.ts'
import type { Circumstances, Decision } from '../src/delivery/decision.ts'
import type { Event, Message } from '../src/delivery/message.ts'
import { maxRetriesOf, type RetryPolicy } from '../src/delivery/retry-policy.ts'
import { isFinal } from '../src/delivery/status.ts'
import { createEventQueue } from './event-queue.ts'
import type { VirtualMessage } from './virtual-month.ts'
import { eventsAfter, type TimedEvent } from './virtual-twilio.ts'

export interface PlayOptions {
  readonly policy: RetryPolicy
  /** False for an app without retries: a request that Twilio did not process is a failure. */
  readonly retries?: boolean
  /** Seconds from a message's creation to its deadline. Without it, messages have none. */
  readonly validForSeconds?: number
}

export interface PlayedMessage {
  readonly truth: VirtualMessage
  /** As its row would be at the end: final, with all attempts. */
  readonly message: Message
}

const UNRESTRICTED: Circumstances = { sendWindow: null, zonesOf: () => [], isAllowed: () => true }

/** The messages of the month after the last event, in the same order. */
export function play(month: readonly VirtualMessage[], options: PlayOptions): readonly PlayedMessage[] {
  const { policy, retries = true } = options
  const maxRetries = retries ? maxRetriesOf(policy) : 0
  const queue = createEventQueue<{ readonly place: number; readonly event: Event }>()
  const messages = month.map((truth) => newMessage(truth, maxRetries, options))
  for (const [place, { createdAtMs }] of month.entries())
    queue.add(createdAtMs, { place, event: { kind: 'due', attempt: 0 } })

  for (let next = queue.take(); next !== null; next = queue.take()) {
    const { place } = next.value
    const [truth, message] = [month[place], messages[place]]
    if (truth === undefined || message === undefined) throw new Error(`There is no message ${place}`)
    const event = retries ? next.value.event : withoutRepetition(next.value.event, truth)
    const random = truth.drawsOf(message.retryCount).jitter
    const now = new Date(next.atMs)
    const context = { policy, circumstances: UNRESTRICTED, account: WORKING_ACCOUNT, now, random }
    const decision = decide(message, event, context)
    if (decision.kind === 'ignore') continue
    messages[place] = decision.message
    for (const { atMs, event: following } of eventsOf(decision, truth, next.atMs))
      queue.add(atMs, { place, event: following })
  }
  return month.map((truth, place) => ({ truth, message: finalOf(messages[place]) }))
}

function newMessage(truth: VirtualMessage, maxRetries: number, { validForSeconds }: PlayOptions): Message {
  const { id, to, createdAtMs } = truth
  const createdAt = new Date(createdAtMs)
  return {
    id,
    key: `virtual_${id}`,
    to,
    body: 'A text',
    status: 'pending',
    success: true,
    retryCount: 0,
    maxRetries,
    nextRetryAt: null,
    sid: null,
    deadline: validForSeconds === undefined ? null : new Date(createdAtMs + validForSeconds * 1000),
    sendAfter: null,
    sendWindow: null,
    timeZone: null,
    attempts: [newAttempt(0, 'pending', createdAt)],
    reason: null,
    processingTimeMs: null,
    createdAt,
    reconcileAt: null,
  }
}

/** What happens next, by itself or because the decision asks for it. */
function eventsOf(
  decision: Exclude<Decision, { kind: 'ignore' }>,
  truth: VirtualMessage,
  nowMs: number,
): TimedEvent[] {
  switch (decision.kind) {
    case 'submit':
      return eventsAfter(truth, decision.submission, nowMs)
    case 'schedule':
      return [{ atMs: decision.at.getTime(), event: { kind: 'due', attempt: decision.job.attempt } }]
    case 'inquire':
      return [{ atMs: nowMs, event: emptyListFor(decision.inquiry) }]
    case 'record':
      return sweepOf(decision.message, nowMs)
    case 'unschedule':
      return []
  }
}

/** An attempt in doubt is looked up when the row says so. Other messages get their callbacks, and need no lookup. */
function sweepOf({ status, attempts, reconcileAt }: Message, nowMs: number): TimedEvent[] {
  if (status !== 'submitting' || !(reconcileAt instanceof Date)) return []
  if (attempts.at(-1)?.status !== 'submitting') return []
  const atMs = Math.max(reconcileAt.getTime(), nowMs)
  return [{ atMs, event: { kind: 'reconcile', isJobScheduled: false } }]
}

/** Twilio does not have a message whose request it did not answer. */
function emptyListFor({ attempt, claimedAt }: { attempt: number; claimedAt: Date }): Event {
  return {
    kind: 'listed',
    attempt,
    claimedAt,
    entries: [],
    toleranceSeconds: 1,
    isComplete: true,
    others: [],
  }
}

function withoutRepetition(event: Event, { code }: VirtualMessage): Event {
  if (event.kind !== 'answer') return event
  const { outcome } = event.answer
  if (outcome === 'accepted' || outcome === 'rejected') return event
  return { ...event, answer: { outcome: 'rejected', errorCode: code, errorText: 'not processed' } }
}

function finalOf(message: Message | undefined): Message {
  if (message === undefined || !isFinal(message.status))
    throw new Error(`Message ${message?.id} is ${message?.status} after the last event`)
  return message
}
