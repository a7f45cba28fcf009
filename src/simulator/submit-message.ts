// Processes one POST to Messages.json: validate, draw faults, apply the account's status and the number scheme, record.
// twilio-api.ts checks the credentials, answer-submission.ts answers, and message-lifecycle.ts simulates the delivery.
import { accountOutcome, type AccountStatus } from './account-resource.ts'
import { type AttemptCounter, readNamedAttempt } from './attempt-number.ts'
import type { CallbackQueue } from './callback-queue.ts'
import { type Chaos, drawFaults, type Garbage, type ProxyStatus } from './chaos.ts'
import { planLifecycle } from './message-lifecycle.ts'
import { changeStatus, createResource, type MessageResource } from './message-resource.ts'
import type { MessageStore, StoredMessage } from './message-store.ts'
import { scriptedOutcome } from './number-script.ts'
import type { PendingWork } from './pending-work.ts'
import { isRefusal, readSubmission, type Submission } from './read-submission.ts'
import { drawHex, type Random } from './seeded-random.ts'
import type { SimulatorSettings } from './simulator-options.ts'
import {
  type CreatedAnswer,
  type NotProcessedAnswer,
  type RefusedAnswer,
  type SubmissionAnswer,
  wasNotProcessed,
} from './submission-answer.ts'
import { type Refusal, refusal } from './twilio-errors.ts'

export interface SubmitDeps {
  settings: Readonly<SimulatorSettings>
  chaos: () => Readonly<Chaos>
  accountStatus: () => AccountStatus
  /** Sids and tokens have a generator of their own, so that they do not change which faults are drawn. */
  random: { chaos: Random; identifiers: Random }
  messages: MessageStore
  attempts: AttemptCounter
  callbacks: CallbackQueue
  work: PendingWork
}

/** The caller calls `startLifecycle` when the answer has been written, or immediately if the answer is late or missing. */
export type Submitted =
  | { answer: CreatedAnswer; resource: MessageResource; garbage: Garbage; startLifecycle: () => void }
  | { answer: RefusedAnswer; refusal: Refusal }
  | { answer: NotProcessedAnswer; proxyStatus: ProxyStatus }

/** @param form the parsed body, of any shape */
export function submitMessage(form: unknown, deps: SubmitDeps): Submitted {
  const submission = readSubmission(form)
  if (isRefusal(submission)) return { answer: 'refused', refusal: submission }

  const faults = drawFaults(deps.random.chaos, deps.chaos())
  const fault = faults.post
  if (fault !== null && wasNotProcessed(fault)) {
    store(submission, fault, null, deps)
    return { answer: fault, proxyStatus: faults.proxyStatus }
  }

  const attempt = deps.attempts.next(submission)
  const outcome = accountOutcome(deps.accountStatus()) ?? scriptedOutcome(submission.to, attempt)
  if (outcome.kind === 'refused') {
    // The other faults apply to accepted messages only.
    const answer = fault === 'reset' ? 'refused_reset' : 'refused'
    const { resource, trace } = store(submission, answer, attempt.attempt, deps)
    changeStatus(resource, { status: 'failed', errorCode: outcome.code, nowMs: trace.created_at_ms })
    return { answer, refusal: refusal(outcome.code) }
  }

  const answer = fault ?? 'accepted'
  const message = store(submission, answer, attempt.attempt, deps)
  const { callbackDelayMs, chaosDelayMs, now } = deps.settings
  const { start: startLifecycle } = planLifecycle(message, outcome, faults, {
    callbackDelayMs,
    chaosDelayMs,
    now,
    random: deps.random.identifiers,
    work: deps.work,
    callbacks: deps.callbacks,
    accountStatus: deps.accountStatus,
  })
  return { answer, resource: message.resource, garbage: faults.garbage, startLifecycle }
}

function store(
  submission: Submission,
  answer: SubmissionAnswer,
  attempt: number | null,
  { settings, random, messages }: SubmitDeps,
): StoredMessage {
  const nowMs = settings.now()
  const sid = `SM${drawHex(random.identifiers, 32)}`
  const message: StoredMessage = {
    resource: createResource(submission, { sid, accountSid: settings.accountSid, nowMs }),
    trace: {
      status_callback: submission.statusCallback,
      message: readNamedAttempt(submission.statusCallback)?.message ?? null,
      attempt,
      validity_period: submission.validityPeriodSeconds,
      created_at_ms: nowMs,
      answer,
    },
  }
  messages.add(message)
  return message
}
