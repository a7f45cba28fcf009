// Each rule that the figures rest on: every message ends once, and the product's own rules decide every attempt.
import { expect, test } from '@jest/globals'
import type { Cause } from '../../outcome/cause.ts'
import { causesOf } from '../../outcome/mix.ts'
import { play, type PlayedMessage } from '../../outcome/play.ts'
import { drawMonth } from '../../outcome/virtual-month.ts'
import { createRetryPolicy, ruleFor } from '../../src/delivery/retry-policy.ts'
import { isFinal } from '../../src/delivery/status.ts'

const policy = createRetryPolicy()
const month = drawMonth({
  causes: causesOf('high', 'central'),
  messages: 6000,
  days: 30,
  seed: 5,
})
const played = play(month, { policy })

const claimsOf = ({ message }: PlayedMessage): number[] =>
  message.attempts.flatMap(({ times }) =>
    times.submitting === undefined ? [] : [Date.parse(times.submitting)],
  )

/** A month of messages that all fail for this cause. */
function monthOf(cause: Partial<Cause>, messages = 200) {
  const full: Cause = {
    id: 'test',
    share: 1,
    codes: [{ code: 30003, share: 1 }],
    failsBy: 'report',
    recovery: { kind: 'never' },
    ...cause,
  }
  return drawMonth({ causes: [full], messages, days: 30, seed: 3 })
}

test('the same month and policy give the same messages', () => {
  expect(play(month, { policy }).map(({ message }) => message)).toEqual(played.map(({ message }) => message))
})

test('each message ends in one final status', () => {
  expect(played.map(({ message }) => message.id)).toEqual(month.map(({ id }) => id))
  expect(played.filter(({ message }) => !isFinal(message.status))).toEqual([])
})

test('a message is delivered exactly if one of its attempts was made after the cause had ended', () => {
  for (const one of played) {
    const wasPossible = claimsOf(one).some((atMs) => atMs >= one.truth.recoversAtMs)
    expect([one.message.id, one.message.status === 'delivered']).toEqual([one.message.id, wasPossible])
  }
})

test('no attempt follows a failure with a code that the table stops', () => {
  const stopped = played.filter(({ message }) =>
    message.attempts
      .slice(0, -1)
      .some(({ errorCode }) => errorCode !== null && ruleFor(policy, errorCode).action === 'stop'),
  )
  expect(stopped).toEqual([])
  const isStop = ({ truth }: PlayedMessage): boolean =>
    truth.code !== null && truth.cause?.failsBy === 'report' && ruleFor(policy, truth.code).action === 'stop'
  expect(played.filter(isStop).length).toBeGreaterThan(500)
})

test('no message is retried more often than its rule allows', () => {
  const tooMany = played.filter(({ truth, message }) => {
    const rule = ruleFor(policy, truth.code)
    return message.retryCount > (rule.action === 'retry' ? rule.retries : 0)
  })
  expect(tooMany).toEqual([])
})

test('no attempt is made after the deadline', () => {
  const withDeadline = play(month, { policy, validForSeconds: 600 })
  const late = withDeadline.filter((one) =>
    claimsOf(one).some((atMs) => atMs >= one.truth.createdAtMs + 600_000),
  )
  expect(late).toEqual([])
  expect(withDeadline.filter(({ message }) => message.status === 'expired').length).toBeGreaterThan(30)
})

test('retries of 30003 are made after five and fifteen minutes', () => {
  const exact = createRetryPolicy({ jitter: 0 })
  const [one] = play(monthOf({}, 1), { policy: exact })
  const attempts = one?.message.attempts ?? []
  const waits = attempts
    .slice(1)
    .map(
      ({ times }, i) => Date.parse(times.submitting ?? '') - Date.parse(attempts[i]?.times.undelivered ?? ''),
    )
  expect(waits).toEqual([300_000, 600_000])
})

test('a request that Twilio does not process is repeated, and uses up no retry', () => {
  const tooMany = monthOf({
    failsBy: 'not_processed',
    codes: [{ code: 20429, share: 1 }],
    recovery: { kind: 'mixture', parts: [{ share: 1, meanMinutes: 1 }] },
  })
  const messages = play(tooMany, { policy }).map(({ message }) => message)
  expect(messages.every(({ status, retryCount }) => status === 'delivered' && retryCount === 0)).toBe(true)
  expect(messages.some(({ attempts }) => (attempts[0]?.postponements ?? 0) > 1)).toBe(true)
})

test('a request without an answer is looked up, not found, and made again as the same attempt', () => {
  const lost = monthOf({
    failsBy: 'no_answer',
    codes: [{ code: null, share: 1 }],
    recovery: { kind: 'mixture', parts: [{ share: 1, meanMinutes: 0 }] },
  })
  const repeated = play(lost, { policy })
  for (const { truth, message } of repeated) {
    expect([message.status, message.retryCount]).toEqual(['delivered', 0])
    // The earliest time at which Twilio's list shows that the message is not there.
    expect(Date.parse(message.attempts[0]?.times.submitting ?? '')).toBeGreaterThanOrEqual(
      truth.createdAtMs + 30_000,
    )
  }
})

test('an app without retries makes each request once', () => {
  const once = play(month, { policy, retries: false })
  const healthy = month.filter(({ cause }) => cause === null)
  expect(once.filter(({ message }) => message.status === 'delivered')).toHaveLength(healthy.length)
  expect(once.filter(({ message }) => message.attempts.length !== 1)).toEqual([])
})

test('another policy meets the same causes and the same report times', () => {
  const other = play(month, { policy: createRetryPolicy({ codes: { 30003: 'stop' } }) })
  expect(other.map(({ message }) => message.attempts[0])).toEqual(
    played.map(({ message }) => message.attempts[0]),
  )
})
