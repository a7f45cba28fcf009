// Tests reports that come too late: a delivered callback of an earlier attempt, a cancel, another sid.
import { describe, expect, test } from '@jest/globals'
import { decide } from '../../src/delivery/decide.ts'
import type { Event } from '../../src/delivery/message.ts'
import {
  accepted,
  outcomeOf,
  buildAttempt,
  buildMessage,
  callback,
  cancel,
  context,
  due,
  notProcessed,
  play,
  rejected,
  secondsFromNow,
  sidOf,
  submittingMessage,
} from './build-message.ts'

describe('a late delivered callback of attempt 0', () => {
  const delivered = { status: 'delivered', success: true, nextRetryAt: null, reason: null }

  test('removes the scheduled attempt 1 with its job, and decreases retry_count', () => {
    const retrying = play(submittingMessage(), [callback('undelivered', 30003)])
    expect(retrying).toMatchObject({ status: 'retrying', retryCount: 1 })
    const decision = decide(retrying, callback('delivered'), context())
    expect(decision).toMatchObject({ kind: 'unschedule', job: { attempt: 1, postponements: 0 } })
    const next = outcomeOf(retrying, decision)
    expect(next).toMatchObject({ ...delivered, retryCount: 0 })
    expect(next.attempts.map(({ number, status }) => [number, status])).toEqual([[0, 'delivered']])
    expect(decide(next, due(1), context()).kind).toBe('ignore')
  })

  test('removes the latest job of the postponed attempt 1', () => {
    const putOff = play(submittingMessage(1), [notProcessed(null, 1)])
    const decision = decide(putOff, callback('delivered'), context())
    expect(decision).toMatchObject({ kind: 'unschedule', job: { attempt: 1, postponements: 1 } })
  })

  test.each<[string, Event[]]>([
    ['undelivered with a code that is retried', [accepted(1), callback('undelivered', 30003, 1)]],
    ['failed with a code that is never retried', [callback('failed', 30007, 1)]],
    ['refused', [rejected(21610, 1)]],
    ['sent', [accepted(1), callback('sent', null, 1)]],
    ['canceled', [callback('canceled', null, 1)]],
    ['delivered as well', [accepted(1), callback('delivered', null, 1)]],
  ])('makes the message delivered for good, even if the submitted attempt 1 is %s', (_, reports) => {
    const late = play(submittingMessage(1), [callback('delivered'), ...reports])
    expect(late).toMatchObject({ ...delivered, retryCount: 1 })
    const afterwards = play(submittingMessage(1), [...reports, callback('delivered')])
    expect(afterwards).toMatchObject(delivered)
    expect(afterwards.attempts.filter(({ status }) => status === 'pending')).toEqual([])
  })

  test('is outranked by a read callback of either attempt only', () => {
    for (const attempt of [0, 1]) {
      const next = play(submittingMessage(1), [callback('delivered'), callback('read', null, attempt)])
      expect(next.status).toBe('read')
    }
  })
})

describe('the sid of the row', () => {
  test('is the sid of the latest attempt that has one', () => {
    const failed = play(submittingMessage(), [accepted(), callback('undelivered', 30003)])
    expect(failed.sid).toBe(sidOf(0))
    const again = play(failed, [due(1)], { now: secondsFromNow(300) })
    expect(again.sid).toBe(sidOf(0))
    expect(play(again, [accepted(1)]).sid).toBe(sidOf(1))
    expect(play(again, [accepted(1), callback('sent')]).sid).toBe(sidOf(1))
  })

  test('is kept if the app submitted the message, because its callbacks have nothing else', () => {
    const theirs = buildMessage('sent', [], { sid: sidOf(0) })
    const failed = play(theirs, [callback('undelivered', 30003, null)])
    const again = play(failed, [due(1), accepted(1)], { now: secondsFromNow(300) })
    expect(again).toMatchObject({ status: 'queued', retryCount: 1, sid: sidOf(0) })
    expect(again.attempts.map(({ sid }) => sid)).toEqual([sidOf(0), sidOf(1)])
    expect(play(again, [callback('delivered', null, null, sidOf(0))]).status).toBe('delivered')
  })
})

describe('a canceled message', () => {
  test('whose retry is canceled at Twilio counts as a success, like the retry', () => {
    const canceled = play(submittingMessage(1), [callback('canceled', null, 1)])
    expect(submittingMessage(1).success).toBe(true)
    expect(canceled).toMatchObject({ status: 'canceled', success: true })
  })

  test('keeps its success, because canceling is no failure', () => {
    const pending = buildMessage('pending', [buildAttempt(0, 'pending')])
    expect(play(pending, [cancel])).toMatchObject({ status: 'canceled', success: true })
    const failed = play(submittingMessage(), [rejected(30001), cancel])
    expect(failed).toMatchObject({ status: 'canceled', success: false, nextRetryAt: null, retryCount: 0 })
  })

  test('is changed by a late delivered callback only, not by a failure', () => {
    const canceled = play(submittingMessage(), [callback('undelivered', 30003), cancel])
    for (const event of [callback('failed', 30001), callback('failed', 21610), callback('sent'), due(1)]) {
      expect(play(canceled, [event])).toMatchObject({ status: 'canceled', retryCount: 0, nextRetryAt: null })
    }
    expect(play(canceled, [callback('delivered')])).toMatchObject({ status: 'delivered', success: true })
  })
})

describe('a report with a second sid for an attempt', () => {
  const OTHER_SID = sidOf(99)

  test('is ignored unless it is delivered', () => {
    const sent = play(submittingMessage(), [accepted(), callback('sent')])
    expect(decide(sent, callback('failed', 30001, 0, OTHER_SID), context()).kind).toBe('ignore')
    expect(play(sent, [callback('delivered', null, 0, OTHER_SID)]).status).toBe('delivered')
  })

  test('does not occur if an attempt that was found to be lost fails before it is made again', () => {
    // The postponed attempt waits under the same number when its first request turns out to have reached Twilio.
    const failed = play(submittingMessage(), [notProcessed(), callback('failed', 30001)])
    const now = secondsFromNow(3600)
    const again = play(failed, [due(failed.retryCount)], { now })
    const number = again.retryCount
    const lost = play(again, [accepted(number, OTHER_SID), callback('failed', 21610, number, OTHER_SID)])
    expect(lost).toMatchObject({ status: 'failed', sid: OTHER_SID, retryCount: 1 })
  })
})
