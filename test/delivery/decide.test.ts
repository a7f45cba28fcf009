// Tests single decisions: every kind of event for a message in every status. See retries.test.ts for limits and late reports,
// and order.test.ts for order and repetition of reports.
import { describe, expect, test } from '@jest/globals'
import { decide } from '../../src/delivery/decide.ts'
import type { DeliveryStatus } from '../../src/delivery/status.ts'
import {
  accepted,
  outcomeOf,
  callback,
  context,
  due,
  FAILURES,
  notProcessed,
  rejected,
  secondsFromNow,
  unknownOutcome,
  wordsOf,
} from './build-message.ts'
import { DECISION_TABLE, MESSAGES, STATUSES } from './decision-table.ts'

const CELLS = DECISION_TABLE.flatMap(([event, rows]) =>
  rows.flatMap(([decided, before]) =>
    before.split(' ').map((word) => {
      const message = MESSAGES[word as DeliveryStatus]
      const messageEvent = event === 'the latest attempt is due' ? due(message.retryCount) : event
      return {
        words: event === 'the latest attempt is due' ? event : wordsOf(event),
        status: message.status,
        decided,
        message,
        event: messageEvent,
      }
    }),
  ),
)

describe('the decision table', () => {
  test('has every status once for every event', () => {
    for (const [, rows] of DECISION_TABLE) {
      expect(rows.flatMap(([, before]) => before.split(' ')).toSorted()).toEqual(STATUSES.toSorted())
    }
  })
})

describe.each(CELLS)('$words, message $status: $decided', ({ message, event, decided }) => {
  const before = structuredClone(message)
  const decision = decide(message, event, context())
  const next = outcomeOf(message, decision)

  test('decide returns the expected decision', () => {
    const status = next.status === message.status && decision.kind === 'record' ? 'stays' : next.status
    expect(decision.kind === 'ignore' ? 'ignore' : `${decision.kind} ${status}`).toBe(decided)
  })

  test('leaves a consistent row', () => {
    expect(message).toEqual(before)
    expect(decide(message, event, context())).toEqual(decision)
    if (next.status !== 'canceled') expect(next.success).toBe(!FAILURES.includes(next.status))
    const isWaiting = next.status === 'pending' || next.status === 'retrying'
    if (next.attempts.length > 0) {
      expect(next.retryCount).toBe(next.attempts.at(-1)?.number)
      if (isWaiting) expect(next.attempts.at(-1)?.status).toBe('pending')
    }
    if (next.status === 'retrying') expect(next.nextRetryAt).not.toBeNull()
    if (!isWaiting) expect(next.nextRetryAt).toBeNull()
    if (next.status !== message.status && FAILURES.includes(next.status)) expect(next.reason).toMatch(/\w{3}/)
    if (next.status === 'delivered') expect(next.reason).toBeNull()
  })
})

describe('an answer of Twilio', () => {
  const answers = [accepted(), rejected(21610), rejected(21611), notProcessed(), unknownOutcome()]
  test.each(
    answers.map((event) => ({ event, words: wordsOf(event) })),
  )('always records the duration of the request: $words', ({ event }) => {
    for (const message of Object.values(MESSAGES)) {
      const { status, processingTimeMs } = outcomeOf(message, decide(message, event, context()))
      expect([message.status, status, processingTimeMs]).toEqual([message.status, status, 12])
    }
  })

  test('that is unknown leaves the attempt in doubt, with a reason', () => {
    const next = outcomeOf(MESSAGES.submitting, decide(MESSAGES.submitting, unknownOutcome(), context()))
    expect(next.status).toBe('submitting')
    expect(next.reason).toMatch(/not known.*ECONNRESET/)
  })

  test('or a report for an attempt that the row does not have changes nothing', () => {
    for (const event of [
      accepted(5),
      rejected(30001, 5),
      notProcessed(null, 5),
      callback('delivered', null, 5),
    ]) {
      expect(decide(MESSAGES.sent, event, context()).kind).toBe('ignore')
    }
  })
})

describe('a due job', () => {
  test('of an attempt other than the latest does nothing', () => {
    expect(decide(MESSAGES.retrying, due(0), context()).kind).toBe('ignore')
    expect(decide(MESSAGES.retrying, due(2), context()).kind).toBe('ignore')
  })

  test('that runs before the row’s time is rescheduled for that time', () => {
    const nextRetryAt = secondsFromNow(30)
    const moved = { ...MESSAGES.retrying, nextRetryAt }
    const decision = decide(moved, due(1), context())
    expect(decision).toMatchObject({
      kind: 'schedule',
      at: nextRetryAt,
      job: { attempt: 1, postponements: 1 },
    })
    expect(decide(moved, due(1), context({ now: nextRetryAt })).kind).toBe('submit')
  })
})
