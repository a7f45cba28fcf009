// A month of failing messages with known chances, played with the product's own decide. A message that is delivered at the
// first attempt says nothing about retries, so only the failing ones are played.
import { WORKING_ACCOUNT } from '../../src/delivery/account-state.ts'
import { newAttempt } from '../../src/delivery/attempts.ts'
import { decide } from '../../src/delivery/decide.ts'
import type { Decision } from '../../src/delivery/decision.ts'
import type { Event, Message } from '../../src/delivery/message.ts'
import { maxRetriesOf, type RetryPolicy } from '../../src/delivery/retry-policy.ts'
import { addSeconds } from '../../src/delivery/seconds.ts'
import { createRandom, type Random } from '../../src/simulator/seeded-random.ts'
import { buildMessage, sidOf } from '../delivery/build-message.ts'
import { UNRESTRICTED } from '../support/circumstances.ts'

/** When a message that failed can be delivered. */
export type Recovery =
  /** Its cause ends once, after a time that is drawn once. Each part has a share, and the mean of its exponential. */
  | {
      readonly kind: 'ends'
      readonly parts: readonly { readonly share: number; readonly meanSeconds: number }[]
    }
  /** Each retry succeeds with this share, whenever it is made. */
  | { readonly kind: 'each'; readonly share: number }

export interface Cause {
  readonly code: number
  readonly messages: number
  readonly recovery: Recovery
  /** After the first retry, failures have this code. */
  readonly nextCode?: number
}

const MONTH_START = Date.parse('2026-06-01T00:00:00Z')
const MONTH_SECONDS = 30 * 24 * 3600

/** The failed messages at the end of the month. The same seed draws the same messages for every policy. */
export function playMonth(causes: readonly Cause[], policy: RetryPolicy, seed: number): Message[] {
  const random = createRandom(seed)
  return causes.flatMap((cause) =>
    Array.from({ length: cause.messages }, () =>
      playMessage(cause, policy, createRandom(Math.floor(random() * 2 ** 32))),
    ),
  )
}

function playMessage(cause: Cause, policy: RetryPolicy, random: Random): Message {
  const createdAt = new Date(MONTH_START + Math.floor(random() * MONTH_SECONDS) * 1000)
  const endsAfter = drawEnd(cause.recovery, random)
  let message = buildMessage('pending', [newAttempt(0, 'pending', createdAt)], {
    maxRetries: maxRetriesOf(policy),
    createdAt,
  })
  let [now, failedAt, attempt] = [createdAt, null as Date | null, 0]
  const happens = (event: Event): Decision => {
    const context = { policy, circumstances: UNRESTRICTED, account: WORKING_ACCOUNT, now, random: random() }
    const decision = decide(message, event, context)
    if (decision.kind === 'ignore') throw new Error(decision.why)
    message = decision.message
    return decision
  }
  for (;;) {
    const due = happens({ kind: 'due', attempt })
    if (due.kind !== 'submit') throw new Error(`a due attempt was not submitted, but ${due.kind}`)
    const isDelivered = failedAt !== null && isOver(cause.recovery, endsAfter, failedAt, now, random)
    const sid = sidOf(attempt)
    const { claimedAt } = due.submission
    const answer = { outcome: 'accepted', sid, status: 'queued', errorCode: null, errorText: null } as const
    happens({ kind: 'answer', attempt, claimedAt, answer, processingTimeMs: 200 })
    now = addSeconds(now, 5 + 20 * random())
    failedAt ??= now
    const status = isDelivered ? 'delivered' : 'undelivered'
    const code = attempt === 0 ? cause.code : (cause.nextCode ?? cause.code)
    const reported = happens({
      ...{ kind: 'report', attempt, sid, status, errorText: null },
      errorCode: isDelivered ? null : code,
    })
    if (reported.kind !== 'schedule') return message
    now = reported.at
    attempt = reported.job.attempt
  }
}

function drawEnd(recovery: Recovery, random: Random): number {
  let left = random()
  const exponential = -Math.log(1 - random())
  for (const { share, meanSeconds } of recovery.kind === 'ends' ? recovery.parts : []) {
    if (left < share) return meanSeconds * exponential
    left -= share
  }
  return Number.POSITIVE_INFINITY
}

function isOver(recovery: Recovery, endsAfter: number, failedAt: Date, now: Date, random: Random): boolean {
  if (recovery.kind === 'each') return random() < recovery.share
  return now >= addSeconds(failedAt, Math.min(endsAfter, 1e9))
}
