// Owns the tests of when a message is looked at if nothing happens to it. What is done then: reconcile.test.ts.
import { describe, expect, test } from '@jest/globals'
import { decide } from '../../src/delivery/decide.ts'
import type { Message } from '../../src/delivery/message.ts'
import {
  nextLookupTime,
  firstLookupSeconds,
  isOverdue,
  reconcileTime,
} from '../../src/delivery/reconcile-time.ts'
import { isFinal } from '../../src/delivery/status.ts'
import { addSeconds, isWaiting, secondsBetween } from '../../src/delivery/transitions.ts'
import { buildMessage, context, due, NOW, outcomeOf, wordsOf } from './build-message.ts'
import { DECISION_TABLE, MESSAGES, STATUSES } from './decision-table.ts'

const FINAL = ['undelivered', 'failed', 'canceled', 'delivered', 'read', 'expired'] as const
const WITH_TWILIO = ['accepted', 'scheduled', 'queued', 'sending', 'sent'] as const
const HOURS_72 = 72 * 3600

/** Since when the messages of the table are what they are; a waiting one is due at that time. */
const SINCE = addSeconds(NOW, -60)

function messageIn(status: Message['status'], fields: Partial<Message> = {}): Message {
  const waits = status === 'retrying' ? { nextRetryAt: SINCE } : {}
  return { ...MESSAGES[status], reconcileAt: SINCE, ...waits, ...fields }
}

/** Seconds after SINCE at which the message is looked at, if it is decided upon `elapsed` seconds after SINCE. */
function lookAfter(message: Message, elapsed: number, scale = 1): number | null | 'never' | 'on_hold' {
  const at = reconcileTime(message, scale, addSeconds(SINCE, elapsed))
  if (at === null) return null
  return at instanceof Date ? secondsBetween(SINCE, at) : at
}

/** The times of all looks, if each finds nothing new. */
function looksOf(message: Message, count: number, scale = 1): (number | null | 'never' | 'on_hold')[] {
  const looks: (number | null | 'never' | 'on_hold')[] = [lookAfter(message, 0, scale)]
  while (looks.length < count) {
    const last = looks.at(-1)
    if (typeof last !== 'number') break
    looks.push(lookAfter(message, last, scale))
  }
  return looks
}

describe('the times of the looks, in seconds', () => {
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
    expect(looksOf(messageIn(status), expected.length)).toEqual(expected)
  })

  test.each([...FINAL, 'unknown'] as const)('of a message that is %s: none', (status) => {
    expect(lookAfter(messageIn(status), 0)).toBeNull()
    expect(isOverdue(messageIn(status), 1, addSeconds(NOW, 10 * HOURS_72))).toBe(false)
  })

  test('are a table of every status', () => {
    expect(new Set([...FINAL, ...WITH_TWILIO, 'unknown', 'pending', 'submitting', 'retrying'])).toEqual(
      new Set(STATUSES),
    )
  })

  test('a retry that is not due yet is looked at after it was to be made', () => {
    const message = messageIn('retrying', { nextRetryAt: addSeconds(SINCE, 3600) })
    expect(lookAfter(message, 0)).toBe(3630)
    expect(isOverdue(message, 1, addSeconds(SINCE, 3629))).toBe(false)
    expect(isOverdue(message, 1, addSeconds(SINCE, 3630))).toBe(true)
  })

  test('an attempt claimed again starts anew: the last claim counts', () => {
    const [entry] = MESSAGES.submitting.attempts
    if (entry === undefined) throw new Error('the table has no attempt')
    const claimedAgain = {
      ...entry,
      times: { ...entry.times, submitting: addSeconds(SINCE, 500).toISOString() },
    }
    expect(lookAfter(messageIn('submitting', { attempts: [claimedAgain] }), 500)).toBe(545)
  })

  test('without a time of its own, an attempt counts from the time of the row', () => {
    const [entry] = MESSAGES.submitting.attempts
    if (entry === undefined) throw new Error('the table has no attempt')
    const attempts = [{ ...entry, times: {} }]
    expect(lookAfter(messageIn('submitting', { attempts, createdAt: SINCE }), 0)).toBe(45)
  })
})

describe('while Twilio is asked and has not answered', () => {
  const askAgainAfter = (status: Message['status'], elapsed: number, scale = 1): number =>
    secondsBetween(SINCE, nextLookupTime(messageIn(status), scale, addSeconds(SINCE, elapsed)))

  test.each([
    ['submitting', 45, 67.5],
    ['submitting', 2594.937, 3494.937],
    ['sent', 300, 600],
    ['sent', 1200, 2100],
    ['sent', 18 * 3600, 18 * 3600 + 900],
    ['sent', HOURS_72 - 1, HOURS_72],
    ['sent', HOURS_72, HOURS_72 + 900],
  ] as const)('the next look is at most 15 minutes away: %s for %d s, at %d s', (status, elapsed, expected) => {
    expect(askAgainAfter(status, elapsed)).toBe(expected)
  })

  test('the scale shortens these as well', () => {
    expect(askAgainAfter('sent', 18 * 3600, 0.1)).toBe(18 * 3600 + 90)
  })
})

describe('the scale', () => {
  test('shortens all but the time that a request takes, and leaves a worker five seconds', () => {
    expect([1, 0.5, 0.1, 0.001].map((scale) => firstLookupSeconds('pending', scale))).toEqual([30, 15, 5, 5])
    expect([1, 0.5, 0.1].map((scale) => firstLookupSeconds('submitting', scale))).toEqual([45, 30, 18])
    expect(firstLookupSeconds('submitting', 0.001)).toBeCloseTo(15.03)
    expect(looksOf(messageIn('sent'), 3, 0.1)).toEqual([30, 60, 120])
    const doubtful = looksOf(messageIn('submitting'), 8, 0.1)
    expect(doubtful).toEqual([18, 27, 40.5, 60.75, 91.125, 136.688, 205.032, 295.032])
  })

  test('shortens the three days as well', () => {
    expect(lookAfter(messageIn('sent'), HOURS_72 / 10 - 1, 0.1)).toBe(HOURS_72 / 10)
    expect(lookAfter(messageIn('sent'), HOURS_72 / 10, 0.1)).toBe('never')
  })
})

describe('after three days', () => {
  test.each(['submitting', ...WITH_TWILIO] as const)('a message that is %s is left as it is', (status) => {
    expect(lookAfter(messageIn(status), HOURS_72 - 1)).toBe(HOURS_72)
    expect(lookAfter(messageIn(status), HOURS_72)).toBe('never')
  })

  test.each(['pending', 'retrying'] as const)('ours that is %s is never given up', (status) => {
    for (const elapsed of [HOURS_72, 10 * HOURS_72, 1000 * HOURS_72]) {
      expect(lookAfter(messageIn(status), elapsed)).toBe(elapsed + 900)
    }
  })

  test.each([
    'pending',
    'retrying',
    'submitting',
    ...WITH_TWILIO,
  ] as const)('a row of others that is %s and was never looked at is given up at once', (status) => {
    const left = messageIn(status, { reconcileAt: null })
    expect(lookAfter(left, HOURS_72 - 1)).toEqual(expect.any(Number))
    expect(lookAfter(left, HOURS_72)).toBe(isWaiting(left) ? 'on_hold' : 'never')
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
  ])('says when it is looked at next: not if it is final, in the future otherwise (scale %d)', (scale) => {
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

  test('forgets the time at which a message was to be looked at once that is final', () => {
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
