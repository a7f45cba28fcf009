// Tests attempts that were claimed twice because the first request was found to be lost: answers to the first request must
// not affect the second claim.
import { describe, expect, test } from '@jest/globals'
import { decide } from '../../src/delivery/decide.ts'
import type { Event, Message } from '../../src/delivery/message.ts'
import {
  accepted,
  buildAttempt,
  buildMessage,
  context,
  due,
  NOW,
  notProcessed,
  outcomeOf,
  play,
  rejected,
  secondsFromNow,
  sidOf,
  submittingMessage,
  toClaimAt,
  unknownOutcome,
} from './build-message.ts'

const FIRST_CLAIM = secondsFromNow(-60)

/** Twilio's list did not have it. */
function notListed(attempt: number): Event {
  const none = { entries: [], isComplete: true, others: [], toleranceSeconds: 2 }
  return { kind: 'listed', attempt, claimedAt: FIRST_CLAIM, ...none }
}

/** Claimed a minute ago, found to be lost, and claimed again now. */
function claimedTwice(attempt: number): Message {
  const again = play(submittingMessage(attempt), [unknownOutcome(attempt), notListed(attempt), due(attempt)])
  expect(again).toMatchObject({ status: 'submitting', retryCount: attempt })
  return again
}

const answeredOn = (message: Message, event: Event): Message =>
  outcomeOf(message, decide(message, event, context()))

describe('a claim', () => {
  test('is identified by its time, in the submission and in the row; the latest counts', () => {
    const again = play(submittingMessage(), [notListed(0)])
    const decision = decide(again, due(0), context())
    expect(decision).toMatchObject({
      kind: 'submit',
      submission: { claimedAt: NOW },
      message: { attempts: [{ times: { submitting: NOW.toISOString() } }] },
    })
  })

  test('of a row without attempts that the app wrote has the time of the row', () => {
    const theirs = buildMessage('submitting', [], { createdAt: secondsFromNow(-500) })
    const refusal = rejected(21610)
    expect(answeredOn(theirs, toClaimAt(secondsFromNow(-500), refusal)).status).toBe('failed')
    expect(answeredOn(theirs, toClaimAt(secondsFromNow(-499), refusal)).status).toBe('submitting')
  })
})

describe.each([0, 1])('an answer to the first of two claims of attempt %d', (attempt) => {
  test.each([
    ['not processed', notProcessed(null, attempt), attempt === 0 ? 'pending' : 'retrying'],
    ['refused for good', rejected(21610, attempt), 'failed'],
    ['refused, to be retried', rejected(21611, attempt), 'retrying'],
  ])('that is %s does not release the second claim', (_what, event, toTheSecond) => {
    const second = claimedTwice(attempt)
    expect(decide(second, toClaimAt(FIRST_CLAIM, event), context()).kind).toBe('ignore')
    expect(answeredOn(second, toClaimAt(NOW, event)).status).toBe(toTheSecond)
  })

  test('that is unknown does not change the second claim', () => {
    const second = claimedTwice(attempt)
    expect(decide(second, toClaimAt(FIRST_CLAIM, unknownOutcome(attempt)), context()).kind).toBe('ignore')
    const doubtful = answeredOn(second, toClaimAt(NOW, unknownOutcome(attempt)))
    expect(doubtful.reason).toMatch(/ECONNRESET/)
  })

  test('still counts if Twilio accepted it', () => {
    expect(answeredOn(claimedTwice(attempt), toClaimAt(FIRST_CLAIM, accepted(attempt)))).toMatchObject({
      status: 'queued',
      sid: sidOf(attempt),
      retryCount: attempt,
    })
  })

  test('that comes before the second claim counts only if Twilio accepted it', () => {
    const waiting = play(submittingMessage(attempt), [notListed(attempt)])
    expect(waiting.nextRetryAt).toEqual(NOW)
    expect(decide(waiting, toClaimAt(FIRST_CLAIM, accepted(attempt)), context())).toMatchObject({
      kind: 'unschedule',
      message: { status: 'queued', sid: sidOf(attempt) },
    })
    // The entry still has the time of the first claim, because no other followed.
    expect(answeredOn(waiting, toClaimAt(FIRST_CLAIM, notProcessed(null, attempt)))).toMatchObject({
      status: waiting.status,
      nextRetryAt: NOW,
    })
  })
})

test('a postponed first attempt is claimed again, and its answer belongs to the new claim', () => {
  const pending = buildMessage('pending', [buildAttempt(0, 'pending')])
  const later = { now: secondsFromNow(5) }
  const claimed = play(play(pending, [due(0), notProcessed()]), [due(0)], later)
  expect(answeredOn(claimed, toClaimAt(NOW, rejected(21610))).status).toBe('submitting')
  expect(answeredOn(claimed, toClaimAt(secondsFromNow(5), rejected(21610))).status).toBe('failed')
})
