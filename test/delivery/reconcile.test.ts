// Tests the decision when a message is reconciled. reconcile-time.test.ts tests when that is, listed.test.ts the decision
// after a search of Twilio's list.
import { describe, expect, test } from '@jest/globals'
import { decide } from '../../src/delivery/decide.ts'
import type { Decision } from '../../src/delivery/decision.ts'
import type { Message } from '../../src/delivery/message.ts'
import { isFinal } from '../../src/delivery/status.ts'
import { buildAttempt, buildMessage, context, due, play, secondsFromNow, sidOf } from './build-message.ts'
import { MESSAGES, STATUSES } from './decision-table.ts'

const HOURS_72 = 72 * 3600

/** Reconciles the message `elapsed` seconds after its last change. */
function reconcile(message: Message, elapsed: number, fields: Partial<Message> = {}): Decision {
  const now = secondsFromNow(elapsed - 60)
  return decide(
    { ...message, reconcileAt: now, ...fields },
    { kind: 'reconcile', isJobScheduled: false },
    context({ now }),
  )
}

const retrying = { ...MESSAGES.retrying, nextRetryAt: secondsFromNow(-60) }

describe('reconciling a message', () => {
  test.each(STATUSES)('before the time in its row does nothing: %s', (status) => {
    const message = { ...MESSAGES[status], reconcileAt: secondsFromNow(1) }
    expect(decide(message, { kind: 'reconcile', isJobScheduled: false }, context()).kind).toBe('ignore')
  })

  test.each([
    ['pending', MESSAGES.pending, 30],
    ['retrying', retrying, 30],
    ['submitting', MESSAGES.submitting, 45],
    ['sent', MESSAGES.sent, 300],
  ])('that is not overdue only sets the time of the next check: %s', (_what, message, overdueAfter) => {
    const early = reconcile(message, overdueAfter / 2, { reconcileAt: null })
    expect(early).toEqual({
      kind: 'record',
      message: { ...message, reconcileAt: secondsFromNow(overdueAfter - 60) },
    })
    expect(reconcile(message, overdueAfter - 1, { reconcileAt: null }).kind).toBe('record')
    expect(reconcile(message, overdueAfter, { reconcileAt: null }).kind).not.toBe('record')
  })

  test.each([
    ['pending', MESSAGES.pending],
    ['retrying', retrying],
  ])('that waits beyond its deadline expires it, even if next_retry_at was moved later: %s', (_what, message) => {
    const moved = { deadline: secondsFromNow(0), nextRetryAt: secondsFromNow(3600) }
    expect(reconcile(message, 60, moved)).toMatchObject({
      kind: 'unschedule',
      message: { status: 'expired', nextRetryAt: null },
    })
    expect(reconcile(message, 59, moved)).toMatchObject({
      kind: 'record',
      message: { status: message.status },
    })
  })

  test('in two processes at the same time does nothing in the second one', () => {
    const first = reconcile(MESSAGES.sent, 300)
    if (first.kind !== 'inquire') throw new Error(`not looked up: ${first.kind}`)
    const now = secondsFromNow(300 - 60)
    expect(decide(first.message, { kind: 'reconcile', isJobScheduled: false }, context({ now })).kind).toBe(
      'ignore',
    )
  })

  test.each(
    STATUSES.filter((status) => !isFinal(status) && status !== 'unknown'),
  )('always moves the time of the next check: %s', (status) => {
    for (const elapsed of [0, 1, 44, 45, 300, 5000, HOURS_72, 10 * HOURS_72]) {
      for (const reconcileAt of [null, secondsFromNow(elapsed - 60)]) {
        const decision = reconcile(MESSAGES[status], elapsed, { reconcileAt })
        if (decision.kind === 'ignore') throw new Error(`ignored after ${elapsed} s: ${decision.why}`)
        const { reconcileAt: next } = decision.message
        const isLater = next instanceof Date ? next > secondsFromNow(elapsed - 60) : next !== null
        expect(isLater).toBe(true)
      }
    }
  })
})

describe('an overdue attempt that waits', () => {
  test.each([
    ['the first', MESSAGES.pending, 0, 'pending'],
    ['a retry', retrying, 1, 'retrying'],
  ])('gets a new job that replaces the old one: %s', (_what, message, attempt, status) => {
    const decision = reconcile(message, 30)
    expect(decision).toMatchObject({
      kind: 'schedule',
      at: message.nextRetryAt ?? secondsFromNow(30 - 60),
      job: { attempt, postponements: 1 },
      replaces: { attempt, postponements: 0 },
      message: { status, retryCount: attempt, reason: message.reason, success: message.success },
    })
    if (decision.kind !== 'schedule') return
    expect(reconcile(decision.message, 60)).toMatchObject({
      job: { attempt, postponements: 2 },
      replaces: { attempt, postponements: 1 },
    })
  })

  test('is made once, whichever of its jobs run', () => {
    const decision = reconcile(retrying, 30)
    if (decision.kind !== 'schedule') throw new Error('no job')
    expect(decide(decision.message, due(1), context()).kind).toBe('submit')
    expect(decide(play(decision.message, [due(1)]), due(1), context()).kind).toBe('ignore')
  })

  test('of a row whose retry_count somebody changed is checked later', () => {
    const [failed] = retrying.attempts
    const broken = { ...retrying, attempts: failed === undefined ? [] : [failed] }
    expect(reconcile(broken, 30)).toEqual({
      kind: 'record',
      message: { ...broken, reconcileAt: secondsFromNow(60 - 60) },
    })
  })

  test('of ours is rescheduled however long ago it was due', () => {
    expect(reconcile(retrying, 10 * HOURS_72).kind).toBe('schedule')
  })

  test.each([
    ['pending', MESSAGES.pending],
    ['retrying', retrying],
    ['pending, without entries', buildMessage('pending', [])],
    [
      'retrying, without entries',
      buildMessage('retrying', [], { retryCount: 1, nextRetryAt: secondsFromNow(-60) }),
    ],
  ])('of a row that the app left three days ago is set aside: %s', (_what, message) => {
    const decision = reconcile(message, HOURS_72, { reconcileAt: null })
    expect(decision).toMatchObject({ kind: 'record', message: { reconcileAt: 'set_aside' } })
    expect(reconcile(message, HOURS_72 - 60, { reconcileAt: null }).kind).toBe('schedule')
  })
})

describe('an overdue attempt that was made', () => {
  const asked = {
    messageId: 7,
    key: 'key_of-message_7',
    attempt: 0,
    to: '+15550100123',
    claimedAt: secondsFromNow(-60),
  }

  test('in doubt is searched for in Twilio’s list', () => {
    expect(reconcile(MESSAGES.submitting, 45)).toEqual({
      kind: 'inquire',
      message: { ...MESSAGES.submitting, reconcileAt: secondsFromNow(67.5 - 60) },
      inquiry: { ...asked, sid: null },
    })
  })

  test.each([
    'accepted',
    'scheduled',
    'queued',
    'sending',
    'sent',
  ] as const)('and is %s is asked for by its sid', (status) => {
    expect(reconcile(MESSAGES[status], 300)).toMatchObject({
      kind: 'inquire',
      message: { status, reconcileAt: secondsFromNow(600 - 60) },
      inquiry: { ...asked, sid: sidOf(0) },
    })
  })

  test('is looked up only if it is the latest of several', () => {
    const attempts = [buildAttempt(0, 'undelivered', { errorCode: 30003 }), buildAttempt(1, 'sent')]
    expect(reconcile(buildMessage('sent', attempts), 300)).toMatchObject({
      inquiry: { attempt: 1, sid: sidOf(1) },
    })
  })

  test('of a row of the app is looked up by the row’s sid, and not at all without one', () => {
    const row = buildMessage('sent', [], { sid: sidOf(5) })
    expect(reconcile(row, 300)).toMatchObject({ kind: 'inquire', inquiry: { attempt: 0, sid: sidOf(5) } })
    expect(reconcile({ ...row, sid: null }, 300)).toMatchObject({
      kind: 'record',
      message: { status: 'sent' },
    })
  })

  test('of a row that the app left three days ago is not looked up', () => {
    const row = buildMessage('sent', [], { sid: sidOf(5) })
    expect(reconcile(row, HOURS_72, { reconcileAt: null })).toMatchObject({
      kind: 'record',
      message: { status: 'sent', reconcileAt: 'never' },
    })
  })
})

test.each(['delivered', 'failed', 'canceled'] as const)('a message that is %s is not looked at', (status) => {
  expect(decide(MESSAGES[status], { kind: 'reconcile', isJobScheduled: false }, context()).kind).toBe(
    'ignore',
  )
})
