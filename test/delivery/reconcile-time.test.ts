// Tests when a message is reconciled if no event comes before. reconcile.test.ts tests what is done then.
import { describe, expect, test } from '@jest/globals'
import { decide } from '../../src/delivery/decide.ts'
import type { Message } from '../../src/delivery/message.ts'
import {
  firstCheckSeconds,
  nextLookupTime,
  firstLookupSeconds,
  isOverdue,
  reconcileTime,
} from '../../src/delivery/reconcile-time.ts'
import { isFinal } from '../../src/delivery/status.ts'
import { isWaiting } from '../../src/delivery/transitions.ts'
import { addSeconds, secondsBetween } from '../../src/delivery/seconds.ts'
import { buildMessage, context, due, NOW, outcomeOf, wordsOf } from './build-message.ts'
import { DECISION_TABLE, MESSAGES, STATUSES } from './decision-table.ts'

const FINAL = ['undelivered', 'failed', 'canceled', 'delivered', 'read', 'expired'] as const
const WITH_TWILIO = ['accepted', 'scheduled', 'queued', 'sending', 'sent'] as const
const HOURS_72 = 72 * 3600

/** The last change of the messages in the table; a waiting one is due at that time. */
const SINCE = addSeconds(NOW, -60)

function messageIn(status: Message['status'], fields: Partial<Message> = {}): Message {
  const waits = status === 'retrying' ? { nextRetryAt: SINCE } : {}
  return { ...MESSAGES[status], reconcileAt: SINCE, ...waits, ...fields }
}

/** Seconds from SINCE to the next check, if it is set `elapsed` seconds after SINCE. */
function nextCheckAfter(message: Message, elapsed: number, scale = 1): number | null | 'never' | 'set_aside' {
  const at = reconcileTime(message, scale, addSeconds(SINCE, elapsed))
  if (at === null) return null
  return at instanceof Date ? secondsBetween(SINCE, at) : at
}

/** The times of all checks, if none has news. */
function checksOf(message: Message, count: number, scale = 1): (number | null | 'never' | 'set_aside')[] {
  const checks: (number | null | 'never' | 'set_aside')[] = [nextCheckAfter(message, 0, scale)]
  while (checks.length < count) {
    const last = checks.at(-1)
    if (typeof last !== 'number') break
    checks.push(nextCheckAfter(message, last, scale))
  }
  return checks
}

describe('the times of the checks, in seconds,', () => {
  test.each<[string, Message['status'], (number | 'never')[]]>([
    ['of an attempt that waits', 'pending', [30, 60, 120, 240, 480, 960, 1860, 2760, 3660]],
    ['of a retry that waits, after it is due', 'retrying', [30, 60, 120, 240, 480, 960, 1860, 2760, 3660]],
    [
      'of an attempt in doubt',
      'submitting',
      [45, 67.5, 101.25, 151.875, 227.813, 341.72, 512.58, 768.87, 1153.305, 1729.958, 2594.937, 3494.937],
    ],
    ...WITH_TWILIO.map((status): [string, Message['status'], (number | 'never')[]] => [
      `of a message that is ${status}`,
      status,
      [300, 600, 1200, 2400, 4800, 9600, 19_200, 38_400, 76_800, 153_600, HOURS_72, 'never'],
    ]),
  ])('%s', (_what, status, expected) => {
    expect(checksOf(messageIn(status), expected.length)).toEqual(expected)
  })

  test.each([...FINAL, 'unknown'] as const)('of a message that is %s are none', (status) => {
    expect(nextCheckAfter(messageIn(status), 0)).toBeNull()
    expect(isOverdue(messageIn(status), 1, addSeconds(NOW, 10 * HOURS_72))).toBe(false)
  })

  test('are tested for every status', () => {
    expect(new Set([...FINAL, ...WITH_TWILIO, 'unknown', 'pending', 'submitting', 'retrying'])).toEqual(
      new Set(STATUSES),
    )
  })

  test('a retry that is not due yet is checked after it was due', () => {
    const message = messageIn('retrying', { nextRetryAt: addSeconds(SINCE, 3600) })
    expect(nextCheckAfter(message, 0)).toBe(3630)
    expect(isOverdue(message, 1, addSeconds(SINCE, 3629))).toBe(false)
    expect(isOverdue(message, 1, addSeconds(SINCE, 3630))).toBe(true)
  })

  test.each([
    ['a day', 86_400, 6 * 3600],
    ['two days', 2 * 86_400, 6 * 3600],
    ['80 days', 80 * 86_400, 10 * 86_400],
  ])('an attempt that is due in %s is checked before, because its time may be changed by hand', (_what, wait, check) => {
    const message = messageIn('pending', { nextRetryAt: addSeconds(SINCE, wait) })
    expect(nextCheckAfter(message, 0)).toBe(check)
    expect(firstCheckSeconds(wait, 1)).toBe(check)
    expect(isOverdue(message, 1, addSeconds(SINCE, check))).toBe(false)
  })

  test('an attempt that is due in a year is checked fewer than 50 times before', () => {
    const year = 365 * 86_400
    const message = messageIn('pending', { nextRetryAt: addSeconds(SINCE, year) })
    let elapsed = 0
    let checks = 0
    while (elapsed < year) {
      elapsed = Number(nextCheckAfter(message, elapsed))
      checks += 1
    }
    expect([checks, elapsed]).toEqual([47, year + 30])
  })

  test('the checks of an attempt that was claimed again start at the latest claim', () => {
    const [entry] = MESSAGES.submitting.attempts
    if (entry === undefined) throw new Error('the table has no attempt')
    const claimedAgain = {
      ...entry,
      times: { ...entry.times, submitting: addSeconds(SINCE, 500).toISOString() },
    }
    expect(nextCheckAfter(messageIn('submitting', { attempts: [claimedAgain] }), 500)).toBe(545)
  })

  test('the checks of an attempt without a time start at the time of the row', () => {
    const [entry] = MESSAGES.submitting.attempts
    if (entry === undefined) throw new Error('the table has no attempt')
    const attempts = [{ ...entry, times: {} }]
    expect(nextCheckAfter(messageIn('submitting', { attempts, createdAt: SINCE }), 0)).toBe(45)
  })
})

describe('during a lookup at Twilio', () => {
  const nextLookupAfter = (status: Message['status'], elapsed: number, scale = 1): number =>
    secondsBetween(SINCE, nextLookupTime(messageIn(status), scale, addSeconds(SINCE, elapsed)))

  test.each([
    ['submitting', 45, 67.5],
    ['submitting', 2594.937, 3494.937],
    ['sent', 300, 600],
    ['sent', 1200, 2100],
    ['sent', 18 * 3600, 18 * 3600 + 900],
    ['sent', HOURS_72 - 1, HOURS_72],
    ['sent', HOURS_72, HOURS_72 + 900],
  ] as const)('the next check is at most 15 minutes away: %s for %d s, at %d s', (status, elapsed, expected) => {
    expect(nextLookupAfter(status, elapsed)).toBe(expected)
  })

  test('the delay scale shortens these times as well', () => {
    expect(nextLookupAfter('sent', 18 * 3600, 0.1)).toBe(18 * 3600 + 90)
  })
})

describe('the delay scale', () => {
  test('shortens all times except that of a request, and leaves a worker five seconds', () => {
    expect([1, 0.5, 0.1, 0.001].map((scale) => firstLookupSeconds('pending', scale))).toEqual([30, 15, 5, 5])
    expect([1, 0.5, 0.1].map((scale) => firstLookupSeconds('submitting', scale))).toEqual([45, 30, 18])
    expect(firstLookupSeconds('submitting', 0.001)).toBeCloseTo(15.03)
    expect(checksOf(messageIn('sent'), 3, 0.1)).toEqual([30, 60, 120])
    const doubtful = checksOf(messageIn('submitting'), 8, 0.1)
    expect(doubtful).toEqual([18, 27, 40.5, 60.75, 91.125, 136.688, 205.032, 295.032])
  })

  test('shortens the three days as well', () => {
    expect(nextCheckAfter(messageIn('sent'), HOURS_72 / 10 - 1, 0.1)).toBe(HOURS_72 / 10)
    expect(nextCheckAfter(messageIn('sent'), HOURS_72 / 10, 0.1)).toBe('never')
  })
})

describe('after three days', () => {
  test.each([
    'submitting',
    ...WITH_TWILIO,
  ] as const)('a message that is %s is never checked again', (status) => {
    expect(nextCheckAfter(messageIn(status), HOURS_72 - 1)).toBe(HOURS_72)
    expect(nextCheckAfter(messageIn(status), HOURS_72)).toBe('never')
  })

  test.each(['pending', 'retrying'] as const)('ours that is %s is never given up', (status) => {
    for (const elapsed of [HOURS_72, 10 * HOURS_72, 1000 * HOURS_72]) {
      expect(nextCheckAfter(messageIn(status), elapsed)).toBe(elapsed + 900)
    }
  })

  test.each([
    'pending',
    'retrying',
    'submitting',
    ...WITH_TWILIO,
  ] as const)('a row of the app that is %s and was never checked is not checked at all', (status) => {
    const left = messageIn(status, { reconcileAt: null })
    expect(nextCheckAfter(left, HOURS_72 - 1)).toEqual(expect.any(Number))
    expect(nextCheckAfter(left, HOURS_72)).toBe(isWaiting(left) ? 'set_aside' : 'never')
  })
})

describe('every decision with a message', () => {
  const cells = DECISION_TABLE.flatMap(([event]) =>
    STATUSES.map((status) => {
      const message = MESSAGES[status]
      return { message, event: event === 'the latest attempt is due' ? due(message.retryCount) : event }
    }),
  )

  test.each([
    1, 0.001,
  ])('sets the next check in the future, or none if the message is final (scale %d)', (scale) => {
    for (const { message, event } of cells) {
      const decided = decide(message, event, context({ policy: { ...context().policy, delayScale: scale } }))
      if (decided.kind === 'ignore') continue
      const { status, reconcileAt } = outcomeOf(message, decided)
      const words = `${message.status}, ${wordsOf(event)}: ${status}`
      const needsNone = isFinal(status) || status === 'unknown'
      const isNever = !needsNone && scale === 0.001 && reconcileAt === 'never'
      expect([words, reconcileAt instanceof Date ? reconcileAt > NOW : reconcileAt]).toEqual([
        words,
        needsNone ? null : isNever ? 'never' : true,
      ])
    }
  })

  test('removes the time of the next check when the message is final', () => {
    const message = buildMessage('sent', MESSAGES.sent.attempts, { reconcileAt: NOW })
    const report = {
      kind: 'report',
      attempt: 0,
      sid: message.sid ?? '',
      errorCode: null,
      errorText: null,
    } as const
    const decided = decide(message, { ...report, status: 'delivered' }, context())
    expect(outcomeOf(message, decided)).toMatchObject({ status: 'delivered', reconcileAt: null })
  })
})
