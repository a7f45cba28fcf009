// Tests when a person can retry or cancel a message, and the result. decision-table.ts has every status.
import { describe, expect, test } from '@jest/globals'
import { WORKING_ACCOUNT } from '../../src/delivery/account-state.ts'
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

describe('a manual retry of a failed message', () => {
  test('is made even if its retries are used up, and raises max_retries', () => {
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

  test('that fails again gives the message up again, with the number of retries', () => {
    const again = play(usedUp, [retry(), due(4), rejected(30001, 4)])
    expect(again).toMatchObject({ status: 'failed', retryCount: 4, nextRetryAt: null })
    expect(again.reason).toMatch(/Given up after 4 retries$/)
  })

  test('that succeeds makes the message delivered', () => {
    const through = play(usedUp, [retry(), due(4), accepted(4), callback('delivered', null, 4)])
    expect(through).toMatchObject({ status: 'delivered', success: true, retryCount: 4 })
  })

  test('is canceled by a late delivered callback of an earlier attempt', () => {
    const settled = play(usedUp, [retry(), callback('delivered', null, 3)])
    expect(settled).toMatchObject({ status: 'delivered', retryCount: 3, nextRetryAt: null })
  })

  test('must be forced for a code that the policy never retries', () => {
    const stopped = play(submittingMessage(), [rejected(21610)])
    expect(whyNot(stopped, retry())).toMatch(
      /^the policy never retries 21610 \(.*opted out.*\); this must be forced/,
    )
    expect(play(stopped, [retry({ force: true })])).toMatchObject({ status: 'retrying', retryCount: 1 })
  })

  test.each<[string, Partial<Message>, string]>([
    ['after its deadline', { deadline: secondsFromNow(-1) }, 'its deadline has passed'],
    ['without a text', { body: null }, 'the row has no text (message_content)'],
  ])('%s is not made, even if forced', (_what, fields, why) => {
    expect(whyNot({ ...usedUp, ...fields }, retry({ force: true }))).toBe(why)
  })

  test('is refused after attempt 999, because an attempt has at most three digits', () => {
    const last = buildMessage('failed', [buildAttempt(999, 'failed', { errorCode: 30001 })])
    expect(decide(last, retry(), context()).kind).toBe('ignore')
  })
})

describe('a manual retry of a waiting message', () => {
  const waiting = waitingFor30003

  test('makes the same attempt now, and replaces its job', () => {
    expect(waiting.nextRetryAt).toEqual(secondsFromNow(300))
    expect(decide(waiting, retry({ seen: waiting }), context())).toMatchObject({
      kind: 'schedule',
      job: { attempt: 1, postponements: 1 },
      replaces: { attempt: 1, postponements: 0 },
      at: NOW,
      message: { status: 'retrying', retryCount: 1, maxRetries: 3, nextRetryAt: NOW },
    })
  })

  test('that is requested twice is made once', () => {
    const once = play(waiting, [retry({ seen: waiting })])
    expect(whyNot(once, retry({ seen: waiting }))).toBe('its next attempt is already due')
  })
})

describe('a message set aside, which the app left waiting for days', () => {
  const left = buildMessage('pending', [buildAttempt(0, 'pending')], { reconcileAt: 'set_aside' })

  test('says that it is set aside, and what to do', () => {
    expect(nextStepOf(left, WORKING_ACCOUNT, NOW)).toEqual({
      what: expect.stringContaining('Retry or cancel it'),
      at: null,
    })
    expect(nextStepOf({ ...left, reconcileAt: NOW }, WORKING_ACCOUNT, NOW).what).toContain(
      'a worker makes it',
    )
  })

  test('is sent and reconciled after a manual retry', () => {
    const decision = decide(left, retry({ seen: left }), context())
    expect(decision).toMatchObject({ kind: 'schedule', at: NOW, message: { nextRetryAt: NOW } })
    const asked = play(left, [retry({ seen: left })])
    expect(asked.reconcileAt).toEqual(secondsFromNow(30))
  })

  test('can be canceled', () => {
    expect(play(left, [cancel])).toMatchObject({ status: 'canceled', nextRetryAt: null })
  })
})

describe('a manual retry of an outdated view of the message', () => {
  test.each<[string, Message, readonly Event[]]>([
    ['after it was retried and failed again', usedUp, [retry(), due(4), rejected(30001, 4)]],
    ['after its retry failed for good', waitingFor30003, [retry(), due(1), rejected(21610, 1)]],
    ['after it was canceled', waitingFor30003, [cancel]],
  ])('has no effect %s', (_what, seen, events) => {
    expect(whyNot(play(seen, events), retry({ seen, force: true }))).toBe('it changed in the meantime')
  })
})

describe('a retry of many messages', () => {
  const later = secondsFromNow(90)
  const spread: Event = { kind: 'retry', seen: null, force: false, notBefore: later, by: 'Ann' }

  test('makes each attempt at its own time, and its reason names the person', () => {
    expect(decide(usedUp, spread, context())).toMatchObject({
      kind: 'schedule',
      at: later,
      message: {
        status: 'retrying',
        nextRetryAt: later,
        reason: 'A retry was requested manually by Ann',
      },
    })
    expect(play(waitingFor30003, [spread])).toMatchObject({
      nextRetryAt: later,
      reason: 'A retry was requested manually by Ann',
    })
  })

  test('makes an attempt now if its own time has passed', () => {
    const past = { ...spread, notBefore: secondsFromNow(-1) } as Event
    expect(decide(usedUp, past, context())).toMatchObject({ kind: 'schedule', at: NOW })
  })

  test('never delays a message that waits', () => {
    const soon = { ...waitingFor30003, nextRetryAt: secondsFromNow(80) }
    expect(whyNot(soon, spread)).toBe('its next attempt is already scheduled for an earlier time')
    expect(whyNot({ ...waitingFor30003, nextRetryAt: NOW }, spread)).toBe('its next attempt is already due')
  })

  test.each<[string, Message]>([
    ['a failed message', usedUp],
    ['a message that waits', { ...waitingFor30003, nextRetryAt: secondsFromNow(70) }],
  ])('makes the attempt of %s by the middle of the time to its deadline, and leaves the rest for its delivery', (_what, message) => {
    expect(decide({ ...message, deadline: secondsFromNow(89) }, spread, context())).toMatchObject({
      kind: 'schedule',
      at: secondsFromNow(44.5),
    })
    expect(decide({ ...usedUp, deadline: secondsFromNow(180) }, spread, context())).toMatchObject({
      at: later,
    })
  })

  test('is refused after the deadline', () => {
    expect(whyNot({ ...usedUp, deadline: NOW }, spread)).toBe('its deadline has passed')
  })

  test('leaves out a message whose attempts changed after it began', () => {
    const event = (unchangedSince: Date): Event => ({
      kind: 'retry',
      seen: null,
      force: false,
      unchangedSince,
    })
    expect(whyNot(usedUp, event(secondsFromNow(-1)))).toBe('it changed in the meantime')
    expect(decide(usedUp, event(NOW), context()).kind).toBe('schedule')
  })
})

test('a canceled message names the person who canceled it', () => {
  expect(play(waitingFor30003, [{ kind: 'cancel', by: 'Ann' }]).reason).toBe(
    'Canceled by Ann before the next attempt',
  )
})

describe('a manual retry of a canceled message', () => {
  test('makes the first attempt if it was canceled before', () => {
    const canceled = play(buildMessage('pending', [buildAttempt(0, 'pending')]), [cancel])
    expect(canceled.status).toBe('canceled')
    const again = decide(canceled, retry(), context())
    expect(again).toMatchObject({ kind: 'schedule', job: { attempt: 0, postponements: 1 } })
    expect(play(canceled, [retry()])).toMatchObject({ status: 'pending', retryCount: 0 })
  })

  test('makes the retry if it was canceled before', () => {
    const canceled = play(submittingMessage(), [callback('undelivered', 30003), cancel])
    expect(play(canceled, [retry()])).toMatchObject({ status: 'retrying', retryCount: 1, success: false })
  })
})

describe('a manual retry of a row that the app wrote', () => {
  test('makes the next attempt if the row failed and has no attempts', () => {
    const row = buildMessage('failed', [], { retryCount: 1 })
    expect(play(row, [retry()])).toMatchObject({ status: 'retrying', retryCount: 2 })
  })
})
