// Tests the decision after a search of Twilio's message list. find-attempt.test.ts tests the search.
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

/** The messages in these tests were claimed a minute ago. */
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

describe('an attempt in doubt that is found in the list', () => {
  test('gets its sid and status, and is no longer in doubt', () => {
    const doubt = play(submittingMessage(), [unknownOutcome()])
    expect(doubt.reason).toMatch(/not known/)
    const found = listedOn(doubt, { entries: [listedEntry({ sid: sidOf(0), status: 'sent' })] })
    expect(found).toMatchObject({ status: 'sent', sid: sidOf(0), success: true, reason: null, retryCount: 0 })
    expect(found.attempts).toMatchObject([{ status: 'sent', sid: sidOf(0) }])
  })

  test('ends as if its answer or callback had come', () => {
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
  ])('as refused with %d is retried or not, by the policy', (errorCode, kind, expected) => {
    const entries = [listedEntry({ status: 'failed', errorCode })]
    const decision = decide(submittingMessage(), listed({ entries }), context())
    expect(decision).toMatchObject({ kind, message: { success: false, ...expected } })
  })
})

describe('an attempt in doubt that is certainly not in the list', () => {
  test.each([0, 1])('is made again now, under the same number %d', (attempt) => {
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

  test('is not made again after its deadline', () => {
    const message = submittingMessage(1, 30001, { deadline: NOW })
    const decision = decide(message, listed({ attempt: 1 }), context())
    expect(decision).toMatchObject({
      kind: 'record',
      message: { status: 'expired', success: false, nextRetryAt: null, retryCount: 1 },
    })
    const expired = outcomeOf(message, decision)
    expect(expired.reason).toMatch(/deadline/)
    // Its entry stays: if Twilio has it after all, its callbacks are still recorded.
    expect(play(expired, [callback('delivered', null, 1)])).toMatchObject({
      status: 'delivered',
      success: true,
    })
    const inTime = submittingMessage(1, 30001, { deadline: secondsFromNow(1) })
    expect(decide(inTime, listed({ attempt: 1 }), context()).kind).toBe('schedule')
  })

  test('is not made again if its callback comes before that', () => {
    const again = listedOn(submittingMessage(), {})
    expect(decide(again, callback('queued'), context())).toMatchObject({
      kind: 'unschedule',
      job: { attempt: 0, postponements: 1 },
      message: { status: 'queued', sid: sidOf(0) },
    })
  })
})

describe('an attempt in doubt that the list does not decide', () => {
  test.each([
    ['several entries match', { entries: [listedEntry(), listedEntry()] }],
    ['the list is not complete', { isComplete: false }],
    ['the entry may belong to another attempt', { entries: [listedEntry()], others: [submittingMessage()] }],
  ])('stays in doubt with a reason if %s', (_why, fields) => {
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

describe('a list that comes too late changes nothing if', () => {
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

  test('an earlier attempt was delivered in the meantime', () => {
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
