// What a person may ask for, in which state, and what it makes of the message. Every status: decision-table.ts.
import { describe, expect, test } from '@jest/globals'
import { decide } from '../../src/delivery/decide.ts'
import type { Event, Message } from '../../src/delivery/message.ts'
import { nextStepOf } from '../../src/delivery/next-step.ts'
import {
  accepted,
  buildAttempt,
  buildMessage,
  callback,
  cancel,
  context,
  due,
  NOW,
  play,
  rejected,
  retry,
  secondsFromNow,
  submittingMessage,
} from './build-message.ts'

const whyNot = (message: Message, event: Event): string => {
  const decision = decide(message, event, context())
  return decision.kind === 'ignore' ? decision.why : `not ignored: ${decision.kind}`
}

/** Attempts 0 to 3 failed with a code that allows three retries. */
const usedUp = play(submittingMessage(3), [callback('undelivered', 30001, 3)])

const waitingFor30003 = play(submittingMessage(), [callback('undelivered', 30003)])

describe('retry now, of a message that failed', () => {
  test('is made although its retries are used up, and raises the limit by what it needs', () => {
    expect(usedUp).toMatchObject({ status: 'undelivered', retryCount: 3, maxRetries: 3 })
    const decision = decide(usedUp, retry(), context())
    expect(decision).toMatchObject({
      kind: 'schedule',
      job: { attempt: 4, postponements: 0 },
      replaces: { attempt: 4, postponements: 0 },
      at: NOW,
      message: { status: 'retrying', success: false, retryCount: 4, maxRetries: 4, nextRetryAt: NOW },
    })
  })

  test('it fails again: it is given up again, and says after how many', () => {
    const again = play(usedUp, [retry(), due(4), rejected(30001, 4)])
    expect(again).toMatchObject({ status: 'failed', retryCount: 4, nextRetryAt: null })
    expect(again.reason).toMatch(/Given up after 4 retries$/)
  })

  test('it gets through: it is delivered', () => {
    const through = play(usedUp, [retry(), due(4), accepted(4), callback('delivered', null, 4)])
    expect(through).toMatchObject({ status: 'delivered', success: true, retryCount: 4 })
  })

  test('a late delivered of an earlier attempt calls it off', () => {
    const settled = play(usedUp, [retry(), callback('delivered', null, 3)])
    expect(settled).toMatchObject({ status: 'delivered', retryCount: 3, nextRetryAt: null })
  })

  test('a code that the policy never retries takes force, and the answer says so', () => {
    const stopped = play(submittingMessage(), [rejected(21610)])
    expect(whyNot(stopped, retry())).toMatch(
      /^the policy never retries 21610 \(.*opted out.*\); this must be forced/,
    )
    expect(play(stopped, [retry({ force: true })])).toMatchObject({ status: 'retrying', retryCount: 1 })
  })

  test.each<[string, Partial<Message>, string]>([
    ['whose deadline has passed', { deadline: secondsFromNow(-1) }, 'its deadline has passed'],
    ['without its text', { body: null }, 'the row has no text (message_content)'],
  ])('%s: is not made, not even by force', (_what, fields, why) => {
    expect(whyNot({ ...usedUp, ...fields }, retry({ force: true }))).toBe(why)
  })

  test('attempts have numbers of three digits', () => {
    const last = buildMessage('failed', [buildAttempt(999, 'failed', { errorCode: 30001 })])
    expect(decide(last, retry(), context()).kind).toBe('ignore')
  })
})

describe('retry now, of a message that waits', () => {
  const waiting = waitingFor30003

  test('brings the same attempt forward, with a new alarm in place of the old one', () => {
    expect(waiting.nextRetryAt).toEqual(secondsFromNow(300))
    expect(decide(waiting, retry({ seen: waiting }), context())).toMatchObject({
      kind: 'schedule',
      job: { attempt: 1, postponements: 1 },
      replaces: { attempt: 1, postponements: 0 },
      at: NOW,
      message: { status: 'retrying', retryCount: 1, maxRetries: 3, nextRetryAt: NOW },
    })
  })

  test('asked for twice, does it once', () => {
    const once = play(waiting, [retry({ seen: waiting })])
    expect(whyNot(once, retry({ seen: waiting }))).toBe('its next attempt is already due')
  })
})

describe('a message that somebody else left waiting for days, and that is not sent by itself', () => {
  const left = buildMessage('pending', [buildAttempt(0, 'pending')], { reconcileAt: 'on_hold' })

  test('says so, and what can be done', () => {
    expect(nextStepOf(left, NOW)).toEqual({ what: expect.stringContaining('Retry or cancel it'), at: null })
    expect(nextStepOf({ ...left, reconcileAt: NOW }, NOW).what).toContain('a worker makes it')
  })

  test('is sent if a person asks for it, and watched from then on', () => {
    const decision = decide(left, retry({ seen: left }), context())
    expect(decision).toMatchObject({ kind: 'schedule', at: NOW, message: { nextRetryAt: NOW } })
    const asked = play(left, [retry({ seen: left })])
    expect(asked.reconcileAt).toEqual(secondsFromNow(30))
  })

  test('is called off if a person asks for that', () => {
    expect(play(left, [cancel])).toMatchObject({ status: 'canceled', nextRetryAt: null })
  })
})

describe('who saw the message before something happened', () => {
  test.each<[string, Message, readonly Event[]]>([
    ['it was retried and failed again', usedUp, [retry(), due(4), rejected(30001, 4)]],
    ['its retry was made, and failed for good', waitingFor30003, [retry(), due(1), rejected(21610, 1)]],
    ['it was called off', waitingFor30003, [cancel]],
  ])('%s: asks for nothing any more', (_what, seen, events) => {
    expect(whyNot(play(seen, events), retry({ seen, force: true }))).toBe('it changed in the meantime')
  })
})

describe('a message that was called off', () => {
  test('before its first attempt: this attempt is made', () => {
    const canceled = play(buildMessage('pending', [buildAttempt(0, 'pending')]), [cancel])
    expect(canceled.status).toBe('canceled')
    const again = decide(canceled, retry(), context())
    expect(again).toMatchObject({ kind: 'schedule', job: { attempt: 0, postponements: 1 } })
    expect(play(canceled, [retry()])).toMatchObject({ status: 'pending', retryCount: 0 })
  })

  test('before a retry: the retry is made', () => {
    const canceled = play(submittingMessage(), [callback('undelivered', 30003), cancel])
    expect(play(canceled, [retry()])).toMatchObject({ status: 'retrying', retryCount: 1, success: false })
  })
})

describe('a row that others wrote', () => {
  test('failed, without attempts: its next attempt is made', () => {
    const row = buildMessage('failed', [], { retryCount: 1 })
    expect(play(row, [retry()])).toMatchObject({ status: 'retrying', retryCount: 2 })
  })
})
