// The lifecycle of a message after Twilio accepted it: its statuses, and the callbacks that report them, with their faults.
// callback-queue.ts sends the callbacks.
import type { AccountStatus } from './account-resource.ts'
import type { CallbackQueue } from './callback-queue.ts'
import type { RequestFaults } from './chaos.ts'
import { changeStatus, type MessageResource, type MessageStatus } from './message-resource.ts'
import type { StoredMessage } from './message-store.ts'
import type { Outcome } from './number-script.ts'
import type { PendingWork } from './pending-work.ts'
import { drawUuid, type Random } from './seeded-random.ts'
import type { StatusCallback } from './send-callback.ts'

interface Step {
  status: MessageStatus
  errorCode: number | null
  final: boolean
}

export interface LifecycleDeps {
  callbackDelayMs: number
  chaosDelayMs: number
  now: () => number
  random: Random
  work: PendingWork
  callbacks: Pick<CallbackQueue, 'add'>
  accountStatus: () => AccountStatus
}

/** Call `start` when the API's answer has been written. */
export function planLifecycle(
  { resource, trace }: StoredMessage,
  outcome: Exclude<Outcome, { kind: 'refused' }>,
  faults: RequestFaults,
  { callbackDelayMs, chaosDelayMs, now, random, work, callbacks, accountStatus }: LifecycleDeps,
): { start: () => void } {
  let steps = stepsTo(outcome)
  if (faults.unknownStatus) steps.splice(-1, 0, UNKNOWN)
  const url = trace.status_callback
  // Drawn now, not when the callbacks are sent, so that a seed repeats them (see drawFaults).
  const tokens = [drawUuid(random), drawUuid(random), drawUuid(random)]
  const heldBack: (() => void)[] = []

  const report = (step: Step, index: number, nowMs: number) => {
    const callbackFaults = faults.callbacks[index]
    if (url === null || callbackFaults === undefined || callbackFaults.drop) return
    const callback: StatusCallback = {
      url,
      fields: callbackFields(resource, step, nowMs),
      idempotencyToken: tokens[index] ?? '',
    }
    const send = () => {
      callbacks.add(callback)
      if (callbackFaults.duplicate) callbacks.add(callback)
    }
    const sendNowOrLate = () => (callbackFaults.delay ? work.after(chaosDelayMs, send) : send())
    if (faults.reorder && !step.final) heldBack.push(sendNowOrLate)
    else sendNowOrLate()
  }

  const takeStep = (index: number) => {
    // Until its first step, the message is queued. A message that was sent already is delivered.
    if (index === 0 && accountStatus() !== 'active') steps = stepsTo({ kind: 'failed', code: 30002 })
    const step = steps[index]
    if (step === undefined) {
      // Reordered callbacks are sent one step after the final status.
      for (const send of heldBack) send()
      return
    }
    const nowMs = now()
    changeStatus(resource, { ...step, nowMs })
    report(step, index, nowMs)
    if (!step.final || heldBack.length > 0) work.after(callbackDelayMs, () => takeStep(index + 1))
  }
  return { start: () => work.after(callbackDelayMs, () => takeStep(0)) }
}

/** Twilio's API lists this status but does not describe it. */
const UNKNOWN: Step = { status: 'partially_delivered', errorCode: null, final: false }

function stepsTo(outcome: Exclude<Outcome, { kind: 'refused' }>): Step[] {
  const sent: Step = { status: 'sent', errorCode: null, final: false }
  switch (outcome.kind) {
    case 'delivered':
      return [sent, { status: 'delivered', errorCode: null, final: true }]
    case 'undelivered':
      return [sent, { status: 'undelivered', errorCode: outcome.code, final: true }]
    case 'failed':
      return [{ status: 'failed', errorCode: outcome.code, final: true }]
  }
}

function callbackFields(resource: MessageResource, step: Step, nowMs: number): Record<string, string> {
  return {
    ...(step.errorCode === null ? {} : { ErrorCode: String(step.errorCode) }),
    ...(step.final ? { RawDlrDoneDate: formatRawDlrDoneDate(nowMs) } : {}),
    SmsSid: resource.sid,
    SmsStatus: step.status,
    MessageStatus: step.status,
    To: resource.to,
    ...(resource.messaging_service_sid === null
      ? {}
      : { MessagingServiceSid: resource.messaging_service_sid }),
    MessageSid: resource.sid,
    AccountSid: resource.account_sid,
    From: resource.from ?? '',
    ApiVersion: resource.api_version,
  }
}

/** YYMMDDhhmm without a time zone, as carriers report it; here in GMT. */
function formatRawDlrDoneDate(timeMs: number): string {
  return new Date(timeMs).toISOString().replaceAll(/\D/g, '').slice(2, 12)
}
