// Owns the way of one POST to Messages.json: check, chaos, script, record; and says how it is to be answered.
// Credentials and writing the answer are left to twilio-api.ts, what happens afterwards to message-life.ts.
import { type AttemptCounter, readNamedAttempt } from './attempt-number.ts'
import type { CallbackQueue } from './callback-queue.ts'
import { type Chaos, drawFate } from './chaos.ts'
import { planLife } from './message-life.ts'
import { changeStatus, createResource, type MessageResource } from './message-resource.ts'
import type { MessageStore, StoredMessage, SubmissionAnswer } from './message-store.ts'
import { scriptedOutcome } from './number-script.ts'
import type { PendingWork } from './pending-work.ts'
import { isRefusal, readSubmission, type Submission } from './read-submission.ts'
import { drawHex, type Random } from './seeded-random.ts'
import type { SimulatorSettings } from './simulator-options.ts'
import { type Refusal, refusal } from './twilio-errors.ts'

export interface SubmitDeps {
  settings: Readonly<SimulatorSettings>
  chaos: () => Readonly<Chaos>
  /** Sids and tokens come from a generator of their own, so that they do not move the dice of chaos. */
  random: { chaos: Random; identifiers: Random }
  messages: MessageStore
  attempts: AttemptCounter
  callbacks: CallbackQueue
  work: PendingWork
}

/** `startLife` is for the caller to call: when the answer has been written, or at once if none is. */
export type SubmitAnswer =
  | { kind: 'created'; resource: MessageResource; startLife: () => void }
  | { kind: 'hang'; startLife: () => void }
  | { kind: 'refused'; refusal: Refusal }

/** `form` is the parsed body, of whatever shape the client sent it. */
export function submitMessage(form: unknown, deps: SubmitDeps): SubmitAnswer {
  const submission = readSubmission(form)
  if (isRefusal(submission)) return { kind: 'refused', refusal: submission }

  const fate = drawFate(deps.random.chaos, deps.chaos())
  if (fate.rateLimit) {
    store(submission, 'rate_limited', null, deps)
    return { kind: 'refused', refusal: refusal(20429) }
  }
  if (fate.serverError) {
    store(submission, 'server_error', null, deps)
    return { kind: 'refused', refusal: refusal(20500) }
  }

  const attempt = deps.attempts.next(submission)
  const outcome = scriptedOutcome(submission.to, attempt)
  if (outcome.kind === 'refused') {
    const { resource } = store(submission, 'refused', attempt.attempt, deps)
    changeStatus(resource, { status: 'failed', errorCode: outcome.code, nowMs: Date.now() })
    return { kind: 'refused', refusal: refusal(outcome.code) }
  }

  const message = store(submission, fate.hang ? 'hung' : 'accepted', attempt.attempt, deps)
  const { callbackDelayMs, chaosDelayMs } = deps.settings
  const { start: startLife } = planLife(message, outcome, fate, {
    callbackDelayMs,
    chaosDelayMs,
    random: deps.random.identifiers,
    work: deps.work,
    callbacks: deps.callbacks,
  })
  return fate.hang ? { kind: 'hang', startLife } : { kind: 'created', resource: message.resource, startLife }
}

function store(
  submission: Submission,
  answer: SubmissionAnswer,
  attempt: number | null,
  { settings, random, messages }: SubmitDeps,
): StoredMessage {
  const nowMs = Date.now()
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
