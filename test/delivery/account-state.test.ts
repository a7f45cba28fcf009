import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { accountSignal } from '../../src/delivery/account-signal.ts'
import {
  type AccountSignal,
  type AccountState,
  afterSignal,
  type Hold,
  isProbeDue,
  probeDelaySeconds,
  WORKING_ACCOUNT,
} from '../../src/delivery/account-state.ts'
import { decide } from '../../src/delivery/decide.ts'
import type { Event, Message } from '../../src/delivery/message.ts'
import {
  accepted,
  buildAttempt,
  buildMessage,
  callback,
  context,
  fetched,
  NOW,
  notProcessed,
  POLICY,
  rejected,
  secondsFromNow,
  submittingMessage,
  unknownOutcome,
} from './build-message.ts'

const failed = (fields: Partial<AccountSignal> = {}): AccountSignal => ({
  kind: 'failed',
  errorCode: 10001,
  wasAccepted: false,
  claimedAt: NOW,
  ...fields,
})
const success = (kind: 'accepted' | 'sent', claimedAt = NOW): AccountSignal => ({
  kind,
  errorCode: null,
  wasAccepted: true,
  claimedAt,
})

/** The state after attempts that are claimed and answered `apart` seconds one after the other, the first one at NOW. */
function stateAfter(
  signals: readonly AccountSignal[],
  apart = 1,
  start: AccountState = WORKING_ACCOUNT,
): AccountState {
  return signals.reduce((state, signal, i) => {
    const now = secondsFromNow(i * apart)
    return afterSignal(state, { ...signal, claimedAt: now }, now, 1)
  }, start)
}

const five = Array.from({ length: 5 }, () => failed())
const HOLD: Hold = {
  since: NOW,
  errorCode: 10001,
  liftedBy: 'accepted',
  probes: 0,
  probeAt: secondsFromNow(30),
}
const ON_HOLD: AccountState = { ...WORKING_ACCOUNT, hold: HOLD }

describe('a hold begins', () => {
  test('with the fifth failure in a row; its first probe is due after 30 s', () => {
    expect(stateAfter(five.slice(1)).hold).toBeNull()
    const fifthAt = secondsFromNow(4)
    expect(stateAfter(five).hold).toEqual({ ...HOLD, since: fifthAt, probeAt: secondsFromNow(34) })
  })

  test('not if the five failures take a minute', () => {
    expect(stateAfter(five, 14.9).hold).not.toBeNull()
    expect(stateAfter(five, 15).hold).toBeNull()
  })

  test('not if a message was accepted between the failures', () => {
    const signals = [...five.slice(1), success('accepted'), failed()]
    expect(stateAfter(signals)).toEqual({
      ...WORKING_ACCOUNT,
      failures: [{ at: secondsFromNow(5), wasAccepted: false }],
    })
  })

  test('although messages are accepted, if Twilio fails them after that', () => {
    const late = failed({ errorCode: 30037, wasAccepted: true })
    const signals = five.flatMap(() => [success('accepted'), late])
    expect(stateAfter(signals).hold).toMatchObject({ errorCode: 30037, liftedBy: 'sent' })
  })

  test('not if a message was sent between such failures', () => {
    const late = failed({ errorCode: 30037, wasAccepted: true })
    expect(stateAfter([late, late, late, late, success('sent'), late]).hold).toBeNull()
  })

  test('although messages that were claimed before the failures are accepted in between', () => {
    const now = secondsFromNow(10)
    const signals = five.flatMap(() => [success('sent', NOW), failed({ claimedAt: now })])
    const state = signals.reduce((before, each) => afterSignal(before, each, now, 1), WORKING_ACCOUNT)
    expect(state.hold).not.toBeNull()
  })

  test('not because of attempts that were claimed before the last hold ended', () => {
    const state: AccountState = { ...WORKING_ACCOUNT, workingSince: secondsFromNow(100) }
    const late = five.reduce((before, each) => afterSignal(before, each, secondsFromNow(101), 1), state)
    expect(late).toBe(state)
    expect(five.reduce((before, each) => afterSignal(before, each, NOW, 1), state).hold).not.toBeNull()
  })

  test('during a pause as well, which it does not change', () => {
    const pause = { since: NOW, by: 'ops', reason: 'maintenance' }
    expect(stateAfter(five, 1, { ...WORKING_ACCOUNT, pause })).toMatchObject({
      pause,
      hold: { errorCode: 10001 },
    })
  })
})

describe('a hold', () => {
  test('ends with the first success if the clock of the database was set back', () => {
    const next = afterSignal(ON_HOLD, success('accepted', secondsFromNow(-3600)), secondsFromNow(-3599), 1)
    expect(next.hold).toBeNull()
    expect(isProbeDue({ ...HOLD, probeAt: secondsFromNow(600) }, NOW, 1)).toBe(false)
    expect(isProbeDue({ ...HOLD, probeAt: secondsFromNow(601) }, NOW, 1)).toBe(true)
  })

  test.each<[what: string, signal: AccountSignal, hold: Hold, isLifted: boolean]>([
    ['the acceptance of a probe', success('accepted', secondsFromNow(30)), HOLD, true],
    ['a delivery of a probe', success('sent', secondsFromNow(30)), HOLD, true],
    ['the acceptance of a request from before', success('accepted', secondsFromNow(-1)), HOLD, false],
    ['a delivery of a message from before', success('sent', secondsFromNow(-1)), HOLD, false],
    [
      'an acceptance, if Twilio fails what it accepts',
      success('accepted', secondsFromNow(30)),
      { ...HOLD, liftedBy: 'sent' },
      false,
    ],
    [
      'a delivery, if Twilio fails what it accepts',
      success('sent', secondsFromNow(30)),
      { ...HOLD, liftedBy: 'sent' },
      true,
    ],
    ['a further failure', failed({ claimedAt: secondsFromNow(30) }), HOLD, false],
  ])('after %s', (_what, signal, hold, isLifted) => {
    const state = { ...WORKING_ACCOUNT, hold }
    const next = afterSignal(state, signal, secondsFromNow(31), 1)
    if (isLifted) expect(next).toEqual({ ...WORKING_ACCOUNT, workingSince: secondsFromNow(31) })
    else expect(next).toBe(state)
  })

  test('is probed after 30 s, and then after pauses that double up to ten minutes', () => {
    expect([0, 1, 2, 3, 4, 5, 6, 20].map((probes) => probeDelaySeconds(probes, 1))).toEqual([
      30, 60, 120, 240, 480, 600, 600, 600,
    ])
    expect(probeDelaySeconds(1, 0.1)).toBe(6)
  })

  test('begins again after five more failures, with a first probe after 30 s', () => {
    const lifted = afterSignal(ON_HOLD, success('accepted', secondsFromNow(30)), secondsFromNow(31), 1)
    expect(stateAfter(five, 1, lifted).hold).toMatchObject({ probes: 0, probeAt: secondsFromNow(34) })
  })
})

test('no order of signals holds an account without five failures in a row', () => {
  const signal = fc.constantFrom(failed(), success('accepted', secondsFromNow(9_999)))
  fc.assert(
    fc.property(fc.array(signal, { maxLength: 40 }), (signals) => {
      let inARow = 0
      let state = WORKING_ACCOUNT
      for (const each of signals) {
        inARow = each.kind === 'failed' ? inARow + 1 : 0
        state = afterSignal(state, each, NOW, 1)
        expect(state.hold !== null).toBe(inARow >= 5)
      }
    }),
  )
})

describe('what an event says about the account', () => {
  const submitted = submittingMessage()
  const queued = buildMessage('queued', [buildAttempt(0, 'queued')])
  test.each<[what: string, Message, Event, Partial<AccountSignal> | null]>([
    [
      'a refusal with 10001',
      submitted,
      rejected(10001),
      { kind: 'failed', errorCode: 10001, wasAccepted: false },
    ],
    ['a refusal with 20003', submitted, rejected(20003), { kind: 'failed', errorCode: 20003 }],
    ['a refusal of the message', submitted, rejected(21211), null],
    ['an acceptance', submitted, accepted(), { kind: 'accepted' }],
    ['an unknown outcome', submitted, unknownOutcome(), null],
    ['a request that was not processed', submitted, notProcessed(), null],
    [
      'a callback with 30002',
      queued,
      callback('undelivered', 30002),
      { kind: 'failed', errorCode: 30002, wasAccepted: true },
    ],
    [
      'a callback with 30037',
      queued,
      callback('failed', 30037),
      { kind: 'failed', errorCode: 30037, wasAccepted: true },
    ],
    ['a callback of another failure', queued, callback('undelivered', 30003), { kind: 'sent' }],
    ['a delivery', queued, callback('delivered'), { kind: 'sent' }],
    ['a lookup that finds it sent', queued, fetched('sent'), { kind: 'sent' }],
    ['a lookup that finds nothing new', queued, fetched('queued'), null],
  ])('%s', (_what, before, event, expected) => {
    const decision = decide(before, event, context())
    const signal = decision.kind === 'ignore' ? null : accountSignal(before, decision.message, POLICY)
    if (expected === null) expect(signal).toBeNull()
    else expect(signal).toMatchObject(expected)
  })

  test('the same callback again says nothing', () => {
    const event = callback('undelivered', 30002)
    const first = decide(queued, event, context())
    if (first.kind !== 'schedule') throw new Error(first.kind)
    expect(decide(first.message, event, context()).kind).toBe('ignore')
  })
})
