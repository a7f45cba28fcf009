// Owns the tests of what Twilio's message list makes of an attempt in doubt. Whether the attempt is in it:
// doubt.test.ts.
import { describe, expect, test } from '@jest/globals'
import { decide } from '../../src/delivery/decide.ts'
import type { Event, Message } from '../../src/delivery/message.ts'
import {
  accepted,
  buildAttempt,
  buildMessage,
  callback,
  context,
  due,
  listedEntry,
  NOW,
  outcomeOf,
  play,
  secondsFromNow,
  sidOf,
  submittingMessage,
  unknownOutcome,
} from './build-message.ts'
import { MESSAGES, STATUSES } from './decision-table.ts'

type ListedEvent = Extract<Event, { kind: 'listed' }>

/** The messages of these tests were claimed a minute ago. */
function listed(fields: Partial<ListedEvent> = {}): ListedEvent {
  return {
    kind: 'listed',
    attempt: 0,
    claimedAt: secondsFromNow(-60),
    entries: [],
    toleranceSeconds: 2,
    isComplete: true,
    others: [],
    ...fields,
  }
}

function listedOn(message: Message, fields: Partial<ListedEvent>): Message {
  return outcomeOf(message, decide(message, listed(fields), context()))
}

describe('an attempt in doubt that is found', () => {
  test('gets the sid and the status, and is not in doubt any more', () => {
    const doubt = play(submittingMessage(), [unknownOutcome()])
    expect(doubt.reason).toMatch(/not known/)
    const found = listedOn(doubt, { entries: [listedEntry({ sid: sidOf(0), status: 'sent' })] })
    expect(found).toMatchObject({ status: 'sent', sid: sidOf(0), success: true, reason: null, retryCount: 0 })
    expect(found.attempts).toMatchObject([{ status: 'sent', sid: sidOf(0) }])
  })

  test('ends as if its answer or its callback had come', () => {
    const lasting = ({ status, sid, retryCount, nextRetryAt, success }: Message): object => ({
      ...{ status, sid, retryCount, nextRetryAt, success },
    })
    for (const [status, errorCode] of [
      ['queued', null],
      ['delivered', null],
      ['undelivered', 30003],
      ['failed', 30007],
      ['canceled', null],
    ] as const) {
      const entries = [listedEntry({ sid: sidOf(0), status, errorCode })]
      const told = play(submittingMessage(), [callback(status, errorCode)])
      expect(lasting(listedOn(submittingMessage(), { entries }))).toEqual(lasting(told))
    }
  })

  test.each([
    [21610, 'record', { status: 'failed', retryCount: 0, nextRetryAt: null }],
    [21611, 'schedule', { status: 'retrying', retryCount: 1 }],
  ])('as refused with %d: the policy decides', (errorCode, kind, expected) => {
    const entries = [listedEntry({ status: 'failed', errorCode })]
    const decision = decide(submittingMessage(), listed({ entries }), context())
    expect(decision).toMatchObject({ kind, message: { success: false, ...expected } })
  })
})

describe('an attempt in doubt that is certainly not there', () => {
  test.each([0, 1])('is made again at once, under the same number: %d', (attempt) => {
    const decision = decide(submittingMessage(attempt), listed({ attempt }), context())
    expect(decision).toMatchObject({
      kind: 'schedule',
      at: NOW,
      job: { attempt, postponements: 1 },
      replaces: null,
      message: { status: attempt === 0 ? 'pending' : 'retrying', retryCount: attempt, nextRetryAt: NOW },
    })
    const again = outcomeOf(submittingMessage(attempt), decision)
    expect(again.reason).toMatch(/Twilio did not receive the message/)
    expect(decide(again, due(attempt), context())).toMatchObject({
      kind: 'submit',
      submission: { attempt },
    })
  })

  test('is not made again once its deadline has passed', () => {
    const message = submittingMessage(1, 30001, { deadline: NOW })
    const decision = decide(message, listed({ attempt: 1 }), context())
    expect(decision).toMatchObject({
      kind: 'record',
      message: { status: 'expired', success: false, nextRetryAt: null, retryCount: 1 },
    })
    const expired = outcomeOf(message, decision)
    expect(expired.reason).toMatch(/deadline/)
    // It was claimed: should Twilio have it after all, its news is not lost.
    expect(play(expired, [callback('delivered', null, 1)])).toMatchObject({
      status: 'delivered',
      success: true,
    })
    const inTime = submittingMessage(1, 30001, { deadline: secondsFromNow(1) })
    expect(decide(inTime, listed({ attempt: 1 }), context()).kind).toBe('schedule')
  })

  test('and whose callback comes after all, before it is made again, is not made again', () => {
    const again = listedOn(submittingMessage(), {})
    expect(decide(again, callback('queued'), context())).toMatchObject({
      kind: 'unschedule',
      job: { attempt: 0, postponements: 1 },
      message: { status: 'queued', sid: sidOf(0) },
    })
  })
})

describe('an attempt in doubt on which the list cannot decide', () => {
  test.each([
    ['several fit', { entries: [listedEntry(), listedEntry()] }],
    ['the list is not complete', { isComplete: false }],
    ['another attempt may have made it', { entries: [listedEntry()], others: [submittingMessage()] }],
  ])('stays in doubt, with the reason: %s', (_why, fields) => {
    const message = submittingMessage(1)
    const decision = decide(message, listed({ attempt: 1, ...fields }), context())
    expect(decision).toMatchObject({
      kind: 'record',
      message: { status: 'submitting', retryCount: 1, sid: message.sid, nextRetryAt: null },
    })
    expect(outcomeOf(message, decision).reason).toMatch(
      /^It is not known whether Twilio received the message: .{10}/,
    )
    expect(outcomeOf(message, decision).attempts).toEqual(message.attempts)
  })
})

describe('a list that comes too late changes nothing', () => {
  const answers = [{}, { entries: [listedEntry()] }, { isComplete: false }]

  test.each(STATUSES.filter((status) => status !== 'submitting'))('the message is %s', (status) => {
    for (const fields of answers) {
      expect(decide(MESSAGES[status], listed(fields), context()).kind).toBe('ignore')
    }
  })

  test('the attempt was claimed again', () => {
    const again = play(listedOn(submittingMessage(), {}), [due(0)])
    expect(again.status).toBe('submitting')
    for (const fields of answers) {
      expect(decide(again, listed(fields), context()).kind).toBe('ignore')
      expect(decide(again, listed({ ...fields, claimedAt: NOW }), context()).kind).not.toBe('ignore')
    }
  })

  test('the next attempt is in doubt', () => {
    const attempts = [buildAttempt(0, 'undelivered', { errorCode: 30003 }), buildAttempt(1, 'submitting')]
    for (const fields of answers) {
      expect(decide(buildMessage('submitting', attempts), listed(fields), context()).kind).toBe('ignore')
    }
  })

  test('an earlier attempt was delivered meanwhile', () => {
    const delivered = play(submittingMessage(1), [callback('delivered')])
    expect(delivered).toMatchObject({ status: 'delivered', attempts: [{}, { status: 'submitting' }] })
    for (const fields of answers) {
      expect(decide(delivered, listed({ attempt: 1, ...fields }), context()).kind).toBe('ignore')
    }
  })

  test('the answer came', () => {
    for (const fields of answers) {
      expect(decide(play(submittingMessage(), [accepted()]), listed(fields), context()).kind).toBe('ignore')
    }
  })
})
