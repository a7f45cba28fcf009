// Tests what prevents an attempt: the deadline, and a row without a text.
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
  ])('in %d s makes a message with a retry due in 60 s %s', (seconds, status, kind) => {
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
  ])('in %d s makes a message whose attempt was not processed %s', (seconds, status) => {
    const message = submittingMessage(0, 0, { deadline: secondsFromNow(seconds) })
    expect(play(message, [notProcessed()]).status).toBe(status)
  })

  test('expires a retry that was not processed if Retry-After is later, without counting the retry', () => {
    const message = submittingMessage(1, 30001, { deadline: secondsFromNow(39) })
    const next = play(message, [notProcessed(40, 1)])
    expect(next).toMatchObject({ ...expired, retryCount: 0 })
    expect(next.attempts.map(({ number }) => number)).toEqual([0])
  })

  test.each([
    [-3600, null],
    [-0.001, null],
    [0, null],
    // Twilio's minimum ValidityPeriod is one second.
    [0.999, null],
    [1, 1],
    [90.9, 90],
    [86_400, 86_400],
  ])('in %d s submits a due attempt with a validity of %s seconds, or expires it', (seconds, validity) => {
    const decision = decide(pending({ deadline: secondsFromNow(seconds) }), due(0), context())
    if (validity === null) expect(decision).toMatchObject({ kind: 'record', message: expired })
    else expect(decision).toMatchObject({ kind: 'submit', submission: { validitySeconds: validity } })
  })

  test('that has passed expires a due retry without counting it', () => {
    const retrying = play(submittingMessage(), [rejected(30001)])
    const next = play({ ...retrying, deadline: secondsFromNow(60) }, [due(1)], { now: secondsFromNow(61) })
    expect(next).toMatchObject({ ...expired, retryCount: 0 })
    expect(next.reason).toMatch(/deadline/)
  })

  test('that has passed expires a due attempt even if next_retry_at was moved to a later time', () => {
    const fields = { deadline: secondsFromNow(60), nextRetryAt: secondsFromNow(3600) }
    const next = play(pending(fields), [due(0)], { now: secondsFromNow(61) })
    expect(next).toMatchObject({ ...expired, reason: 'Its deadline passed before it could be sent' })
    expect(play(pending(fields), [due(0)], { now: secondsFromNow(59) })).toMatchObject({
      status: 'pending',
      nextRetryAt: fields.nextRetryAt,
    })
  })

  test('that is not set gives Twilio no validity period', () => {
    const decision = decide(pending({}), due(0), context())
    expect(decision).toMatchObject({ kind: 'submit', submission: { validitySeconds: null } })
  })

  test('does not prevent a late delivered callback', () => {
    const message = submittingMessage(0, 0, { deadline: secondsFromNow(10) })
    const next = play(message, [callback('undelivered', 30003), callback('delivered')])
    expect(next).toMatchObject({ status: 'delivered', success: true, reason: null })
  })
})

describe('a message without a text', () => {
  test('is not submitted, and fails with a reason', () => {
    const next = play(pending({ body: null }), [due(0)])
    expect(next).toMatchObject({ status: 'failed', success: false, nextRetryAt: null })
    expect(next.reason).toMatch(/no text/)
  })

  test('is not retried, and keeps Twilio’s status', () => {
    const decision = decide(
      submittingMessage(0, 0, { body: null }),
      callback('undelivered', 30001),
      context(),
    )
    expect(decision).toMatchObject({ kind: 'record', message: { status: 'undelivered', retryCount: 0 } })
    expect(decision.kind === 'record' && decision.message.reason).toMatch(/no text/)
  })
})
