// Tests the failures that have to do with the hour: the codes 30610 and 30615 wait for the next send window, and a validity
// that the end of the window cut short (30036) uses up no retry.
import { describe, expect, test } from '@jest/globals'
import { decide } from '../../src/delivery/decide.ts'
import type { Circumstances, Decision } from '../../src/delivery/decision.ts'
import type { Message } from '../../src/delivery/message.ts'
import { createRetryPolicy, type RetryPolicy } from '../../src/delivery/retry-policy.ts'
import { UNRESTRICTED } from '../support/circumstances.ts'
import {
  buildAttempt,
  buildMessage,
  callback,
  context,
  due,
  outcomeOf,
  play,
  POLICY,
  sidOf,
} from './build-message.ts'

const at = (time: string, day = 1): Date => new Date(`2026-07-0${day}T${time}:00Z`)

/** The recipient is in UTC, so that the hours below are those on the clock. */
const IN_UTC: Circumstances = { ...UNRESTRICTED, zonesOf: () => ['UTC'] }
const FROM_9_TO_20: Circumstances = { ...IN_UTC, sendWindow: { from: '09:00', to: '20:00' } }

/** The first attempt was claimed at this time. */
const claimedAt = (time: Date, fields: Partial<Message> = {}): Message => {
  const times = { submitting: time.toISOString() }
  return buildMessage('submitting', [buildAttempt(0, 'submitting', { times })], fields)
}

/** A failure of the latest attempt, reported at that time. */
function failedAt(
  message: Message,
  time: Date,
  code: number,
  circumstances: Circumstances,
  policy: RetryPolicy = POLICY,
): Decision {
  const number = message.retryCount
  const failure = callback('undelivered', code, number, sidOf(number))
  return decide(message, failure, context({ now: time, circumstances, policy }))
}

describe.each([30610, 30615])('after code %d, the retry waits for', (code) => {
  test.each<[what: string, failed: Date, Partial<Message>, Circumstances, expected: Date]>([
    ['08:00 at the recipient, without a send window', at('03:00'), {}, IN_UTC, at('08:00')],
    ['the next day, if it failed between 08:00 and 21:00', at('12:00'), {}, IN_UTC, at('08:00', 2)],
    ['the send window', at('03:00'), {}, FROM_9_TO_20, at('09:00')],
    ['the next send window, if it failed in one', at('12:00'), {}, FROM_9_TO_20, at('09:00', 2)],
    [
      'the send window of the message',
      at('12:00'),
      { sendWindow: { from: '13:00', to: '14:00' } },
      FROM_9_TO_20,
      at('13:00'),
    ],
    [
      'the send window, even if the message is urgent',
      at('03:00'),
      { sendWindow: 'any' },
      FROM_9_TO_20,
      at('09:00'),
    ],
    ['08:00 in the time zone of the message', at('03:00'), { timeZone: 'Asia/Tokyo' }, IN_UTC, at('23:00')],
    ['four hours, if no time zone is known', at('03:00'), {}, UNRESTRICTED, at('07:00')],
  ])('%s', (_what, failed, fields, circumstances, expected) => {
    const decision = failedAt(claimedAt(at('02:00'), fields), failed, code, circumstances)
    expect(decision).toMatchObject({
      kind: 'schedule',
      at: expected,
      message: { status: 'retrying', retryCount: 1 },
    })
  })
})

test('a deadline shortens the spread of a retry that waits for the send window', () => {
  const fields = {
    now: at('03:00'),
    circumstances: IN_UTC,
    policy: createRetryPolicy({ jitter: 0.1 }),
    random: 0.9,
  }
  const decision = decide(
    claimedAt(at('02:00'), { deadline: at('08:04') }),
    callback('undelivered', 30610),
    context(fields),
  )
  expect(decision).toMatchObject({ kind: 'schedule', at: new Date('2026-07-01T08:00:54Z') })
})

test('a policy file can make any code wait for the send window, with the spread and the scale of the policy', () => {
  const overrides = { codes: { '30003': { retries: 1, when: 'window_opens' } }, jitter: 0.1 }
  const fields = { now: at('03:00'), circumstances: IN_UTC, random: 0.5 }
  const failure = callback('undelivered', 30003)
  const unscaled = decide(
    claimedAt(at('02:00')),
    failure,
    context({ ...fields, policy: createRetryPolicy(overrides) }),
  )
  expect(unscaled).toMatchObject({ at: at('08:03') })
  const policy = createRetryPolicy(overrides, 0.01)
  const scaled = decide(claimedAt(at('02:00')), failure, context({ ...fields, policy }))
  expect(scaled).toMatchObject({ at: new Date(at('03:00').getTime() + 0.01 * 303 * 60_000) })
})

describe('a message whose validity expired at Twilio (30036)', () => {
  test('because its window closed, waits for the next opening and uses up no retry', () => {
    const decision = failedAt(claimedAt(at('19:00')), at('20:00'), 30036, FROM_9_TO_20)
    expect(decision).toMatchObject({
      kind: 'schedule',
      at: at('09:00', 2),
      message: {
        retryCount: 1,
        attempts: [{ excused: true }, { excused: false }],
        reason: expect.stringMatching(
          /^30036: .*The next attempt uses up no retry\. It waits for its send window/,
        ),
      },
    })
  })

  test.each<[what: string, claimed: Date, Partial<Message>, Circumstances]>([
    ['because of its deadline', at('19:00'), { deadline: at('19:30') }, FROM_9_TO_20],
    ['after ten hours in the queue of Twilio', at('09:30'), {}, FROM_9_TO_20],
    ['without a send window', at('19:00'), {}, IN_UTC],
    ['although it is urgent', at('19:00'), { sendWindow: 'any' }, FROM_9_TO_20],
  ])('%s, uses up a retry', (_what, claimed, fields, circumstances) => {
    const decision = failedAt(claimedAt(claimed, fields), at('19:10'), 30036, circumstances)
    expect(decision).toMatchObject({
      message: {
        attempts: [{ excused: false }, {}],
        reason: expect.stringMatching(/Retry 1 of 2 is scheduled/),
      },
    })
  })

  test('every evening for a month, still has all its retries', () => {
    let message = claimedAt(at('19:00'))
    let now = at('20:00')
    for (let evening = 0; evening < 30; evening += 1) {
      message = outcomeOf(message, failedAt(message, now, 30036, FROM_9_TO_20))
      expect(message).toMatchObject({ status: 'retrying', retryCount: evening + 1 })
      // The worker is late, and claims it in the last hour.
      const claimed = new Date((message.nextRetryAt?.getTime() ?? 0) + 10 * 3_600_000)
      message = play(message, [due(message.retryCount)], { now: claimed, circumstances: FROM_9_TO_20 })
      expect(message.status).toBe('submitting')
      now = new Date(claimed.getTime() + 3_600_000)
    }
    const reasons: (string | null)[] = []
    for (let n = 0; n < 3; n += 1) {
      const failure = failedAt(message, new Date(now.getTime() - 1_800_000), 30003, FROM_9_TO_20)
      message = outcomeOf(message, failure)
      reasons.push(message.reason)
      message = play(message, [due(message.retryCount)], {
        now: message.nextRetryAt ?? now,
        circumstances: FROM_9_TO_20,
      })
    }
    expect(reasons).toEqual([
      expect.stringMatching(/Retry 1 of 2 is scheduled/),
      expect.stringMatching(/Retry 2 of 2 is scheduled/),
      expect.stringMatching(/Given up after 2 of 2 retries/),
    ])
  })
})
