// Tests what a hold and a pause do to single messages: the gate delays them, and a failure of the account uses up no retry.
// account-state.test.ts tests when a hold begins and ends.
import { describe, expect, test } from '@jest/globals'
import { type AccountState, WORKING_ACCOUNT } from '../../src/delivery/account-state.ts'
import { decide } from '../../src/delivery/decide.ts'
import type { Circumstances, Context, Decision } from '../../src/delivery/decision.ts'
import { gate, type GatedMessage } from '../../src/delivery/gate.ts'
import type { Event, Message } from '../../src/delivery/message.ts'
import { createRetryPolicy } from '../../src/delivery/retry-policy.ts'
import { UNRESTRICTED } from '../support/circumstances.ts'
import {
  accepted,
  buildAttempt,
  buildMessage,
  callback,
  cancel,
  context,
  due,
  NOW,
  outcomeOf,
  play,
  POLICY,
  rejected,
  retry,
  secondsFromNow,
  submittingMessage,
  toLatestClaim,
} from './build-message.ts'

const hold = {
  since: NOW,
  errorCode: 10001,
  liftedBy: 'accepted',
  probes: 2,
  probeAt: secondsFromNow(120),
} as const
const HELD: AccountState = { ...WORKING_ACCOUNT, hold }
const PAUSED: AccountState = { ...WORKING_ACCOUNT, pause: { since: NOW, by: 'ops', reason: 'maintenance' } }
const SOON = secondsFromNow(5)
const WHY_HELD = 'Sending is on hold: the Twilio account fails with 10001'
const WHY_PAUSED = 'Sending is paused: maintenance'
const WHY_CLOSED = 'It waits for its send window, 08:00-12:01 in UTC'

const WAITING = buildMessage('pending', [buildAttempt(0, 'pending')])
const byDay: Circumstances = {
  ...UNRESTRICTED,
  sendWindow: { from: '08:00', to: '12:01' },
  zonesOf: () => ['UTC'],
}

/** The gate's answer, with its time in seconds from now. */
function ask(
  account: AccountState,
  inSeconds = 0,
  message: Partial<GatedMessage> = {},
  circumstances = UNRESTRICTED,
): string {
  const passage = gate(
    { ...WAITING, ...message },
    secondsFromNow(inSeconds),
    context({ account, circumstances }),
  )
  switch (passage.kind) {
    case 'now':
      return 'now'
    case 'at':
      return `in ${(passage.at.getTime() - NOW.getTime()) / 1000} s: ${passage.reason}`
    case 'never':
      return `never, ${passage.status}: ${passage.reason}`
  }
}

const inSeconds = (seconds: number): Date => secondsFromNow(seconds)

describe('the gate', () => {
  test.each<[what: string, asked: string, expected: string]>([
    ['lets a message of a working account pass', ask(WORKING_ACCOUNT), 'now'],
    ['asks again soon during a hold', ask(HELD), `in 5 s: ${WHY_HELD}`],
    ['does not delay a later attempt because of a hold', ask(HELD, 6), 'now'],
    ['asks again soon during a pause', ask(PAUSED), `in 5 s: ${WHY_PAUSED}`],
    ['does not delay a later attempt because of a pause', ask(PAUSED, 60), 'now'],
    [
      'names the pause if there is a hold as well',
      ask({ ...HELD, pause: PAUSED.pause }),
      `in 5 s: ${WHY_PAUSED}`,
    ],
    [
      'expires a message whose deadline comes before that',
      ask(HELD, 0, { deadline: inSeconds(4) }),
      `never, expired: ${WHY_HELD}. The next attempt would come after the deadline`,
    ],
    ['delays to the opening that follows', ask(HELD, 0, {}, byDay), `in 72000 s: ${WHY_HELD}. ${WHY_CLOSED}`],
    [
      'names a pause and the closed window',
      ask(PAUSED, 0, {}, { ...byDay, sendWindow: { from: '08:00', to: '11:00' } }),
      `in 72000 s: ${WHY_PAUSED}. It waits for its send window, 08:00-11:00 in UTC`,
    ],
    [
      'does not name a hold if it is asked about a later time',
      ask(HELD, 0, { sendAfter: inSeconds(130) }),
      'in 130 s: The app asked for a later time (sendAfter)',
    ],
    [
      'refuses a recipient that is not allowed',
      ask(HELD, 0, {}, { ...UNRESTRICTED, isAllowed: () => false }),
      'never, canceled: The recipient is not in RECIPIENT_ALLOWLIST',
    ],
  ])('%s', (_what, asked, expected) => expect(asked).toBe(expected))
})

const probing = (probe: number): Event => ({ ...due(0), kind: 'due', attempt: 0, probe })

describe('a due attempt', () => {
  const decided = (event: Event, account: AccountState): Decision =>
    decide(WAITING, event, context({ account }))

  test('is postponed, and its row says why', () => {
    expect(decided(due(0), HELD)).toMatchObject({
      kind: 'schedule',
      at: SOON,
      message: { status: 'pending', reason: WHY_HELD, retryCount: 0 },
    })
  })

  test('is submitted as the latest probe', () => {
    expect(decided(probing(2), HELD).kind).toBe('submit')
  })

  test.each([1, 3])('is not submitted as probe %i of 2', (probe) => {
    expect(decided(probing(probe), HELD).kind).toBe('schedule')
  })

  test('is not submitted as a probe during a pause', () => {
    expect(decided(probing(2), { ...HELD, pause: PAUSED.pause }).kind).toBe('schedule')
  })

  test('is submitted as a probe if the hold has just ended', () => {
    expect(decided(probing(2), WORKING_ACCOUNT).kind).toBe('submit')
  })
})

describe('every other way to an attempt asks about the hold', () => {
  const account = HELD
  test.each<[what: string, Message, Event, at: Date]>([
    [
      'a manual retry of a failed message',
      buildMessage('failed', [buildAttempt(0, 'failed', { errorCode: 30003 })]),
      retry(),
      SOON,
    ],
    ['a manual retry of a later attempt', { ...WAITING, nextRetryAt: inSeconds(600) }, retry(), SOON],
    [
      'a retry that would be due before',
      buildMessage('sent', [buildAttempt(0, 'sent')]),
      callback('undelivered', 30003),
      SOON,
    ],
  ])('%s', (_what, before, event, at) => {
    const policy = createRetryPolicy({ jitter: 0, codes: { 30003: { retries: 2, baseDelaySeconds: 1 } } })
    const decision = decide(
      before,
      event.kind === 'answer' ? toLatestClaim(before, event) : event,
      context({ account, policy }),
    )
    expect(decision).toMatchObject({ kind: 'schedule', at })
    if (decision.kind === 'schedule') expect(decision.message.reason).toContain(WHY_HELD)
  })

  test('a message can be canceled during a hold', () => {
    expect(decide(WAITING, cancel, context({ account }))).toMatchObject({ message: { status: 'canceled' } })
  })

  test('a callback is recorded during a hold', () => {
    const queued = buildMessage('queued', [buildAttempt(0, 'queued')])
    expect(decide(queued, callback('delivered'), context({ account }))).toMatchObject({
      message: { status: 'delivered' },
    })
  })
})

describe('a failure of the account', () => {
  /** Plays `failures` refusals with `code`, each followed by the next attempt when it is due. */
  function afterFailures(failures: number, code = 10001): { message: Message; delays: number[] } {
    const delays: number[] = []
    let now = NOW
    let message: Message = { ...WAITING, maxRetries: 3 }
    for (let number = 0; number < failures; number += 1) {
      message = play(message, [due(number)], { now })
      message = play(message, [toLatestClaim(message, rejected(code, number))], { now })
      delays.push(
        message.nextRetryAt === null ? Number.NaN : (message.nextRetryAt.getTime() - now.getTime()) / 1000,
      )
      now = message.nextRetryAt ?? now
    }
    return { message, delays }
  }

  test('uses up no retry, and each further one doubles the delay, up to an hour', () => {
    const { message, delays } = afterFailures(8)
    expect(delays).toEqual([120, 240, 480, 960, 1920, 3600, 3600, 3600])
    expect(message).toMatchObject({ status: 'retrying', retryCount: 8, success: false })
    expect(message.reason).toBe(
      '10001: The Twilio account is not active, often because its balance is empty. The next attempt uses up no retry',
    )
  })

  test('leaves all retries of the failures that follow', () => {
    const { message } = afterFailures(4)
    const at = (now: Date): Partial<Context> => ({ now })
    const later = secondsFromNow(100_000)
    let failed = message
    const statuses = [4, 5, 6].map((number) => {
      failed = play(failed, [due(number)], at(later))
      failed = play(failed, [toLatestClaim(failed, rejected(30003, number))], at(later))
      failed = { ...failed, nextRetryAt: null }
      return failed.status
    })
    expect(statuses).toEqual(['retrying', 'retrying', 'failed'])
    expect(failed.reason).toContain('Given up after 2 of 2 retries')
  })

  test.each([
    ['uses up a retry, as the rule of 30002 says', WORKING_ACCOUNT, false],
    ['uses up none while the account is on hold', HELD, true],
  ])('with 30002 %s', (_what, account, excused) => {
    const queued = buildMessage('queued', [buildAttempt(0, 'queued')], { maxRetries: 3 })
    const decision = decide(queued, callback('undelivered', 30002), context({ account }))
    expect(decision).toMatchObject({ kind: 'schedule', at: secondsFromNow(120) })
    expect(outcomeOf(queued, decision).attempts[0]).toMatchObject({ excused })
  })

  test('counts as a retry if the app has given its code another rule', () => {
    const policy = createRetryPolicy({ jitter: 0, codes: { 10001: { retries: 1, baseDelaySeconds: 60 } } })
    const submitted = submittingMessage(1, 10001)
    const decision = decide(submitted, toLatestClaim(submitted, rejected(10001, 1)), context({ policy }))
    expect(decision).toMatchObject({ message: { status: 'failed' } })
  })

  test('ends with the deadline of the message', () => {
    const submitted = submittingMessage(0, 10001, { deadline: secondsFromNow(100) })
    const decision = decide(submitted, toLatestClaim(submitted, rejected(10001)), context())
    expect(decision).toMatchObject({ message: { status: 'expired' } })
  })

  test('is followed by a delivery like any other', () => {
    const { message } = afterFailures(2)
    const now = secondsFromNow(10_000)
    const submitted = play(message, [due(2)], { now })
    expect(
      play(submitted, [toLatestClaim(submitted, accepted(2)), callback('delivered', null, 2)], { now }),
    ).toMatchObject({
      status: 'delivered',
      success: true,
      retryCount: 2,
    })
  })
})

test('a waiting message is expired by the sweep, because workers take no jobs during a hold', () => {
  const message = buildMessage('pending', [buildAttempt(0, 'pending')], {
    deadline: secondsFromNow(-1),
    createdAt: secondsFromNow(-3600),
    reconcileAt: secondsFromNow(-1),
  })
  const event = { kind: 'reconcile', isJobScheduled: true } as const
  expect(decide(message, event, context({ account: HELD, policy: POLICY }))).toMatchObject({
    kind: 'unschedule',
    job: { attempt: 0, postponements: 0 },
    message: { status: 'expired', reason: 'Its deadline passed before it could be sent' },
  })
})
