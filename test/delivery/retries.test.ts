// Tests how often and when a failed attempt is retried, and attempts that Twilio did not process. See deadline.test.ts for
// the deadline, and late-reports.test.ts for late reports.
import { describe, expect, test } from '@jest/globals'
import { decide } from '../../src/delivery/decide.ts'
import type { Context, Decision } from '../../src/delivery/decision.ts'
import type { Event, Message } from '../../src/delivery/message.ts'
import type { RetryPolicyOverrides } from '../../src/delivery/policy-overrides.ts'
import { createRetryPolicy } from '../../src/delivery/retry-policy.ts'
import {
  outcomeOf,
  buildAttempt,
  buildMessage,
  callback,
  context,
  due,
  notProcessed,
  play,
  rejected,
  secondsFromNow,
  submittingMessage,
  toLatestClaim,
} from './build-message.ts'

const pending = (fields: Partial<Message> = {}): Message =>
  buildMessage('pending', [buildAttempt(0, 'pending')], fields)

/** Lets every attempt fail until none is due, and returns the number of attempts and the final message. */
function failEveryAttempt(
  start: Message,
  failure: (attempt: number) => Event,
  overrides: RetryPolicyOverrides = {},
): { submissions: number; message: Message } {
  const policy = createRetryPolicy(overrides)
  let message = start
  let submissions = 0
  while (submissions < 20) {
    const decision = decide(message, due(message.retryCount), {
      ...context({ policy, random: 0.5 }),
      now: message.nextRetryAt ?? context().now,
    })
    if (decision.kind !== 'submit') break
    submissions += 1
    expect(decision.submission.attempt).toBe(submissions - 1)
    message = play(decision.message, [failure(decision.submission.attempt)], { policy })
  }
  return { submissions, message }
}

describe('the smaller of max_retries and the limit of the code applies:', () => {
  const generous = { codes: { '30003': { retries: 10, baseDelaySeconds: 1 } } }
  test.each<[code: number | null, maxRetries: number, retries: number, overrides: RetryPolicyOverrides]>([
    [30001, 3, 3, {}],
    [30001, 10, 3, {}],
    [30001, 2, 2, {}],
    [30001, 1, 1, {}],
    [30001, 0, 0, {}],
    [30003, 3, 2, {}],
    [30003, 1, 1, {}],
    [30004, 3, 2, {}],
    [99999, 3, 2, {}],
    [null, 3, 2, {}],
    [30007, 3, 0, {}],
    [30003, 10, 10, generous],
    [30003, 3, 3, generous],
    [99999, 3, 0, { default: 'stop' }],
  ])('code %s with max_retries %i gets %i retries', (code, maxRetries, retries, overrides) => {
    for (const failure of [
      (attempt: number) => callback('undelivered', code, attempt),
      (attempt: number) => rejected(code, attempt),
    ]) {
      const { submissions, message } = failEveryAttempt(pending({ maxRetries }), failure, overrides)
      expect(submissions).toBe(1 + retries)
      expect(message).toMatchObject({
        status: failure(0).kind === 'report' ? 'undelivered' : 'failed',
        success: false,
        nextRetryAt: null,
        retryCount: retries,
      })
      expect(message.attempts).toHaveLength(1 + retries)
      expect(message.reason).toMatch(/Given up after|Trying again would not help/)
    }
  })

  test('the limit of the latest code applies, so 30003 allows no third retry', () => {
    const message = play(submittingMessage(2, 30001), [callback('undelivered', 30003, 2)])
    expect(message).toMatchObject({ status: 'undelivered', retryCount: 2, nextRetryAt: null })
  })
})

describe('the time of a retry', () => {
  const delayOf = (event: Event, start: Message, fields: Partial<Context> = {}): number => {
    const decision = decide(start, event, context(fields))
    if (decision.kind !== 'schedule') throw new Error(`Decided to ${decision.kind}`)
    expect(decision.message.nextRetryAt).toEqual(decision.at)
    return (decision.at.getTime() - context().now.getTime()) / 1000
  }

  test.each([
    [0, 60],
    [1, 120],
    [2, 240],
  ])('after attempt %i failed with 30001 is %i s later', (attempt, seconds) => {
    expect(delayOf(callback('failed', 30001, attempt), submittingMessage(attempt))).toBe(seconds)
  })

  test('includes random jitter', () => {
    const fields = { policy: createRetryPolicy(), random: 0.5 }
    expect(delayOf(rejected(30001), submittingMessage(), fields)).toBe(63)
  })

  // NOW is five in the morning in Los Angeles.
  test.each([
    [30023, 19 * 3600],
    [63038, 24 * 3600],
  ])('after a daily limit (%i) is when the limit is reset, without a maximum', (code, seconds) => {
    expect(delayOf(rejected(code), submittingMessage())).toBe(seconds)
    expect(delayOf(callback('failed', code, 1), submittingMessage(1))).toBe(seconds)
  })

  test('is set by exactly one job, for the next attempt', () => {
    const decision = decide(submittingMessage(1), rejected(30001, 1), context())
    expect(decision).toMatchObject({ kind: 'schedule', job: { attempt: 2, postponements: 0 } })
  })

  test('is not moved by a repeated report, nor by a second failure that is retried', () => {
    const later = context({ now: secondsFromNow(40) })
    const failed = play(submittingMessage(), [callback('undelivered', 30001)])
    for (const event of [callback('undelivered', 30001), callback('failed', 30003)]) {
      const next = outcomeOf(failed, decide(failed, event, later))
      expect(next).toMatchObject({ status: 'retrying', retryCount: 1, nextRetryAt: secondsFromNow(60) })
    }
  })
})

describe('an attempt that Twilio did not process', () => {
  const putOff = (message: Message, attempt: number, retryAfter: number | null = null): Decision =>
    decide(message, toLatestClaim(message, notProcessed(retryAfter, attempt)), context())

  test('is made again under the same number, and uses up no retry', () => {
    let message = pending()
    for (const [i, seconds] of [5, 10, 20, 40, 80].entries()) {
      const claimed = play(message, [due(0)], { now: message.nextRetryAt ?? context().now })
      expect(claimed.status).toBe('submitting')
      const decision = putOff(claimed, 0)
      expect(decision).toMatchObject({
        kind: 'schedule',
        job: { attempt: 0, postponements: i + 1 },
        at: secondsFromNow(seconds),
        message: { status: 'pending', success: true, retryCount: 0, nextRetryAt: secondsFromNow(seconds) },
      })
      message = outcomeOf(claimed, decision)
    }
    const ready = { ...message, nextRetryAt: null }
    const { submissions } = failEveryAttempt(ready, (attempt) => rejected(30001, attempt))
    expect(submissions).toBe(4)
  })

  test('leaves the message retrying if it was a retry', () => {
    expect(putOff(submittingMessage(2), 2)).toMatchObject({
      kind: 'schedule',
      job: { attempt: 2, postponements: 1 },
      message: { status: 'retrying', success: false, retryCount: 2 },
    })
  })

  test('waits for the time of Retry-After', () => {
    expect(putOff(submittingMessage(), 0, 40)).toMatchObject({ kind: 'schedule', at: secondsFromNow(40) })
  })

  test('is not made again after an earlier attempt was delivered', () => {
    const delivered = play(submittingMessage(1), [callback('delivered'), notProcessed(null, 1)])
    expect(delivered).toMatchObject({ status: 'delivered', success: true, retryCount: 0, nextRetryAt: null })
    expect(delivered.attempts).toHaveLength(1)
  })
})
