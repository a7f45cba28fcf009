// Tests that order and repetition of Twilio's reports do not matter: every order must lead to the same message. Also tests
// that no sequence of events leads to an inconsistent row.
import { describe, expect, test } from '@jest/globals'
import { decide } from '../../src/delivery/decide.ts'
import type { Event, Message } from '../../src/delivery/message.ts'
import {
  accepted,
  buildAttempt,
  buildMessage,
  callback,
  cancel,
  context,
  due,
  FAILURES,
  notProcessed,
  outcomeOf,
  play,
  secondsFromNow,
  submittingMessage,
  toLatestClaim,
  unknownOutcome,
  wordsOf,
} from './build-message.ts'
import { visitOrders, visitSequences, withRepetitions } from './permutations.ts'

/** The fields that must not depend on the order. Times, postponements and reasons may. */
function lasting(message: Message): object {
  const { status, success, retryCount, sid } = message
  const attempts = message.attempts.map((attempt) => [
    attempt.number,
    attempt.status,
    attempt.sid,
    attempt.errorCode,
  ])
  return { status, success, retryCount, sid, attempts }
}

/** Each different result of all orders, with the first order that leads to it. */
function endsOf(
  start: Message,
  reports: readonly Event[],
  once: readonly Event[],
  most = 2,
): Map<string, string> {
  const ends = new Map<string, string>()
  for (const repeated of withRepetitions(reports, most)) {
    const step = (message: Message, event: Event): Message => play(message, [event])
    visitOrders(start, [...repeated, ...once], step, (message, order) => {
      const end = JSON.stringify(lasting(message))
      if (!ends.has(end)) ends.set(end, order.map(wordsOf).join(', '))
    })
  }
  return ends
}

/** Reports on attempt `n`, and the result: the message's status, and the number of added attempts. */
type Reports = (attempt: number) => Event[]

const SETS: readonly (readonly [end: string, added: number, reports: Reports])[] = [
  [
    'delivered',
    0,
    (n) => [
      callback('queued', null, n),
      callback('sending', null, n),
      callback('sent', null, n),
      callback('delivered', null, n),
    ],
  ],
  ['read', 0, (n) => [callback('delivered', null, n), callback('read', null, n)]],
  ['retrying', 1, (n) => [callback('sent', null, n), callback('undelivered', 30003, n)]],
  [
    'retrying',
    1,
    (n) => [callback('queued', null, n), callback('sending', null, n), callback('failed', null, n)],
  ],
  [
    'delivered',
    0,
    (n) => [callback('sent', null, n), callback('undelivered', 30003, n), callback('delivered', null, n)],
  ],
  [
    'delivered',
    0,
    (n) => [callback('failed', 30007, n), callback('undelivered', 30003, n), callback('delivered', null, n)],
  ],
  ['undelivered', 0, (n) => [callback('failed', 30001, n), callback('undelivered', 30007, n)]],
  ['retrying', 1, (n) => [callback('undelivered', 30003, n), callback('failed', 30001, n)]],
  ['retrying', 1, (n) => [callback('undelivered', null, n), callback('undelivered', 30003, n)]],
  [
    'failed',
    0,
    (n) => [callback('undelivered', 30007, n), callback('failed', 30001, n), callback('failed', 21610, n)],
  ],
  ['failed', 0, (n) => [callback('sent', null, n), callback('failed', 21610, n)]],
  ['canceled', 0, (n) => [callback('canceled', null, n), callback('failed', 30001, n)]],
  ['canceled', 0, (n) => [callback('canceled', null, n), callback('failed', 30007, n)]],
  [
    'delivered',
    0,
    (n) => [callback('canceled', null, n), callback('undelivered', 30003, n), callback('delivered', null, n)],
  ],
]

describe('all orders of the reports on one attempt, with up to two repeated, have the same result:', () => {
  for (const [end, added, reports] of SETS) {
    const words = reports(0).map(wordsOf).join(', ')
    test.each([
      ['accepted, at every position', (n: number) => [accepted(n)]],
      ['unknown, at every position', (n: number) => [unknownOutcome(n)]],
      ['that never comes', () => []],
    ])(`{${words}} and an answer %s lead to ${end}`, (_, answers) => {
      for (const attempt of [0, 1]) {
        const ends = endsOf(submittingMessage(attempt), reports(attempt), answers(attempt))
        // The orders are part of the value, so a failure shows two that differ.
        expect([...ends].slice(1)).toEqual([])
        const [only = '{}'] = [...ends.keys()]
        expect(JSON.parse(only)).toMatchObject({
          status: end,
          success: !FAILURES.includes(end as Message['status']),
          retryCount: attempt + added,
        })
      }
    })
  }
})

describe('all orders have the same result', () => {
  test.each([
    [
      'delivered',
      [callback('sent'), callback('delivered'), callback('undelivered', 30003, 1)],
      [accepted(1)],
    ],
    ['delivered', [callback('delivered'), callback('delivered', null, 1)], [accepted(1)]],
    ['read', [callback('delivered'), callback('read'), callback('failed', 21610, 1)], []],
    ['undelivered', [callback('failed', 30007), callback('undelivered', 30007, 1)], [accepted(1)]],
    ['delivered', [callback('delivered')], [notProcessed(null, 1)]],
  ])('for reports on two attempts: %s', (end, reports, once) => {
    const ends = endsOf(submittingMessage(1, 30003), reports, once)
    expect([...ends].slice(1)).toEqual([])
    expect(JSON.parse([...ends.keys()][0] ?? '{}')).toMatchObject({ status: end })
  })

  test('for two failures with retries before and after the deadline', () => {
    const start = submittingMessage(0, 0, { deadline: secondsFromNow(100) })
    for (const reports of [
      [callback('undelivered', 30003), callback('failed', 30001)],
      [callback('undelivered', 30001), callback('failed', 30003)],
    ]) {
      expect([...endsOf(start, reports, [accepted()])].slice(1)).toEqual([])
    }
  })

  test('for two failures, one within the number of retries and one beyond', () => {
    for (const reports of [
      [callback('undelivered', 30003, 2), callback('failed', 30001, 2)],
      [callback('undelivered', 30001, 2), callback('failed', 30003, 2)],
    ]) {
      expect([...endsOf(submittingMessage(2), reports, [accepted(2)])].slice(1)).toEqual([])
    }
  })

  test('for a report, and an answer that Twilio did not process the same request', () => {
    const ends = endsOf(submittingMessage(), [callback('failed', 30001)], [notProcessed()])
    expect([...ends].slice(1)).toEqual([])
  })
})

/** Why the row is inconsistent; null if it is consistent. */
function contradictionOf(message: Message): string | null {
  const { status, success, attempts, retryCount, nextRetryAt, reason } = message
  const last = attempts.at(-1)
  const isWaiting = status === 'pending' || status === 'retrying'
  if (attempts.some(({ number }, i) => number !== i)) return 'the attempts are not numbered from 0 on'
  if (last?.number !== retryCount) return 'retry_count is not the latest attempt'
  if (isWaiting && last?.status !== 'pending') return 'it waits for an attempt that was made'
  if (!isWaiting && retryCount > 0 && last?.status === 'pending')
    return 'an attempt waits, the message does not'
  if (attempts.slice(0, -1).some((attempt) => attempt.status === 'pending')) return 'an earlier attempt waits'
  if (!isWaiting && nextRetryAt !== null) return 'next_retry_at is set and nothing waits'
  if (status === 'retrying' && nextRetryAt === null) return 'it is retrying at no time'
  if (status !== 'canceled' && success === FAILURES.includes(status)) return 'success contradicts the status'
  if (FAILURES.includes(status) && !reason) return 'it failed for no reason'
  const isDelivered = attempts.some((attempt) => attempt.status === 'delivered')
  if (isDelivered !== (status === 'delivered')) return 'delivered is not what the attempts say'
  return null
}

/** The message after the event, or a fault. */
function stepOf(message: Message, event: Event): Message | string {
  const decision = decide(
    message,
    toLatestClaim(message, event),
    context({ now: message.nextRetryAt ?? context().now }),
  )
  const made = decision.kind === 'submit' ? message.attempts[decision.submission.attempt] : undefined
  if (made !== undefined && made.status !== 'pending') return 'an attempt is submitted that was made already'
  const after = outcomeOf(message, decision)
  return contradictionOf(after) ?? after
}

describe('no sequence of five events breaks a rule, among', () => {
  const pending = buildMessage('pending', [buildAttempt(0, 'pending')])

  test.each<[string, Event[]]>([
    [
      'alarms, answers and a cancel',
      [due(0), due(1), accepted(), notProcessed(), callback('failed', 30001), cancel],
    ],
    [
      'alarms and reports on two attempts',
      [
        due(0),
        due(1),
        callback('sent'),
        callback('undelivered', 30003),
        callback('delivered'),
        callback('failed', 30001, 1),
        callback('undelivered', 30007, 1),
      ],
    ],
    [
      'a cancel of ours and of Twilio',
      [due(0), due(1), cancel, callback('canceled'), callback('failed', 30001), callback('delivered')],
    ],
    [
      'requests that are not processed',
      [
        due(0),
        due(1),
        notProcessed(),
        notProcessed(null, 1),
        callback('delivered'),
        callback('undelivered', 30003),
        unknownOutcome(1),
      ],
    ],
  ])('%s', (_, events) => {
    for (const deadline of [null, secondsFromNow(100)]) {
      const faults = new Map<string, string>()
      visitSequences({ ...pending, deadline }, events, 5, (message, event, before) => {
        const after = stepOf(message, event)
        if (typeof after !== 'string') return after
        if (!faults.has(after)) faults.set(after, [...before, event].map(wordsOf).join(', '))
        return null
      })
      expect([...faults]).toEqual([])
    }
  })
})
