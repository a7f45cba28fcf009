// Owns the tests of what keeps an attempt from being made: the deadline, and a row without a text.
import { describe, expect, test } from '@jest/globals'
import { decide } from '../../src/delivery/decide.ts'
import type { Message } from '../../src/delivery/message.ts'
import {
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
} from './build-message.ts'

const pending = (fields: Partial<Message>): Message =>
  buildMessage('pending', [buildAttempt(0, 'pending')], fields)

describe('the deadline', () => {
  const expired = { status: 'expired', success: false, nextRetryAt: null }

  test.each([
    [60, 'expired', 'record'],
    [30, 'expired', 'record'],
    [60.001, 'retrying', 'schedule'],
    [3600, 'retrying', 'schedule'],
  ])('in %d s: a retry that is due in 60 s leaves the message %s', (seconds, status, kind) => {
    const message = submittingMessage(0, 0, { deadline: secondsFromNow(seconds) })
    for (const event of [callback('undelivered', 30001), rejected(30001)]) {
      const decision = decide(message, event, context())
      expect(decision).toMatchObject({ kind, message: { status, success: false } })
      if (status === 'expired') expect(decision).toMatchObject({ message: { ...expired, retryCount: 0 } })
    }
  })

  test.each([
    [5, 'expired'],
    [5.001, 'pending'],
  ])('in %d s: an attempt that was not processed leaves the message %s', (seconds, status) => {
    const message = submittingMessage(0, 0, { deadline: secondsFromNow(seconds) })
    expect(play(message, [notProcessed()]).status).toBe(status)
  })

  test('that a Retry-After passes expires the retry that was put off, which was never made', () => {
    const message = submittingMessage(1, 30001, { deadline: secondsFromNow(39) })
    const next = play(message, [notProcessed(40, 1)])
    expect(next).toMatchObject({ ...expired, retryCount: 0 })
    expect(next.attempts.map(({ number }) => number)).toEqual([0])
  })

  test.each([
    [-3600, null],
    [-0.001, null],
    [0, null],
    // Twilio's ValidityPeriod has no less than a second.
    [0.999, null],
    [1, 1],
    [90.9, 90],
    [86_400, 86_400],
  ])('in %d s: a due attempt is submitted with %s seconds of validity, or expires', (seconds, validity) => {
    const decision = decide(pending({ deadline: secondsFromNow(seconds) }), due(0), context())
    if (validity === null) expect(decision).toMatchObject({ kind: 'record', message: expired })
    else expect(decision).toMatchObject({ kind: 'submit', submission: { validitySeconds: validity } })
  })

  test('passed at a retry: the retry does not count, because it was not made', () => {
    const retrying = play(submittingMessage(), [rejected(30001)])
    const next = play({ ...retrying, deadline: secondsFromNow(60) }, [due(1)], { now: secondsFromNow(61) })
    expect(next).toMatchObject({ ...expired, retryCount: 0 })
    expect(next.reason).toMatch(/deadline/)
  })

  test('there is none: Twilio is told no validity', () => {
    const decision = decide(pending({}), due(0), context())
    expect(decision).toMatchObject({ kind: 'submit', submission: { validitySeconds: null } })
  })

  test('does not keep a late delivered out', () => {
    const message = submittingMessage(0, 0, { deadline: secondsFromNow(10) })
    const next = play(message, [callback('undelivered', 30003), callback('delivered')])
    expect(next).toMatchObject({ status: 'delivered', success: true, reason: null })
  })
})

describe('a message without a text', () => {
  test('is not submitted, and fails with the reason', () => {
    const next = play(pending({ body: null }), [due(0)])
    expect(next).toMatchObject({ status: 'failed', success: false, nextRetryAt: null })
    expect(next.reason).toMatch(/no text/)
  })

  test('is not retried, and keeps Twilio’s word', () => {
    const decision = decide(
      submittingMessage(0, 0, { body: null }),
      callback('undelivered', 30001),
      context(),
    )
    expect(decision).toMatchObject({ kind: 'record', message: { status: 'undelivered', retryCount: 0 } })
    expect(decision.kind === 'record' && decision.message.reason).toMatch(/no text/)
  })
})
