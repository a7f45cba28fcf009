// Tests the entries of attempts: how reports are merged into one, and the entries derived for rows that the app wrote.
import { describe, expect, test } from '@jest/globals'
import { dropPending, entriesOf, merge, type Report } from '../../src/delivery/attempts.ts'
import { decide } from '../../src/delivery/decide.ts'
import type { Event, Message } from '../../src/delivery/message.ts'
import type { TwilioStatus } from '../../src/delivery/status.ts'
import {
  buildAttempt,
  buildMessage,
  callback,
  cancel,
  context,
  due,
  NOW,
  POLICY,
  play,
  rejected,
  secondsFromNow,
  sidOf,
} from './build-message.ts'

const report = (
  status: TwilioStatus,
  errorCode: number | null = null,
  fields: Partial<Report> = {},
): Report => ({
  sid: sidOf(0),
  status,
  errorCode,
  errorText: null,
  ...fields,
})
type Failure = [status: TwilioStatus, errorCode: number | null]
const at = { policy: POLICY, now: NOW }

describe('merge', () => {
  test('keeps the error code and text of a failure only', () => {
    const submitting = buildAttempt(0, 'submitting')
    const failed = merge(submitting, report('undelivered', 30003, { errorText: 'Unreachable' }), at)
    expect(failed).toMatchObject({ status: 'undelivered', errorCode: 30003, errorText: 'Unreachable' })
    const sent = merge(submitting, report('sent', 30003, { errorText: 'Unreachable' }), at)
    expect(sent).toMatchObject({ status: 'sent', errorCode: null, errorText: null })
    expect(merge(failed, report('delivered'), at)).toMatchObject({ errorCode: null, errorText: null })
  })

  test.each<[string, one: Failure, other: Failure, code: number]>([
    ['a code that is never retried beats one that is', ['failed', 30001], ['undelivered', 30007], 30007],
    [
      'a code that is never retried beats a failure without a code',
      ['failed', null],
      ['undelivered', 30007],
      30007,
    ],
    ['of two retried codes, failed beats undelivered', ['undelivered', 30003], ['failed', 30001], 30001],
    [
      'of two codes that are never retried, failed beats undelivered',
      ['undelivered', 30007],
      ['failed', 21610],
      21610,
    ],
    ['of the same status, the higher code wins', ['undelivered', 30003], ['undelivered', 30004], 30004],
    ['a code beats no code', ['undelivered', null], ['undelivered', 30003], 30003],
  ])('of two failures of one attempt, in either order, %s', (_, one, other, code) => {
    const both = (first: Report, second: Report) =>
      merge(merge(buildAttempt(0, 'sent'), first, at), second, at)
    expect(both(report(...one), report(...other)).errorCode).toBe(code)
    expect(both(report(...other), report(...one)).errorCode).toBe(code)
  })

  test('records the first time of each status, even of a late one', () => {
    const sent = merge(buildAttempt(0, 'submitting', { times: {} }), report('sent'), at)
    const later = merge(sent, report('queued'), { policy: POLICY, now: secondsFromNow(9) })
    expect(later).toMatchObject({ status: 'sent', times: { sent: NOW.toISOString() } })
    expect(later.times.queued).toBe(secondsFromNow(9).toISOString())
    expect(merge(later, report('sent'), { policy: POLICY, now: secondsFromNow(99) })).toBe(later)
  })

  test('takes the sid from the first report that has one', () => {
    const refused = merge(buildAttempt(0, 'submitting'), report('failed', 21611, { sid: null }), at)
    expect(refused.sid).toBeNull()
    const named = merge(refused, report('failed', 21611), at)
    expect(named.sid).toBe(sidOf(0))
    expect(merge(named, report('delivered', null, { sid: sidOf(5) }), at).sid).toBe(sidOf(0))
  })
})

test('dropPending removes a scheduled retry, but never the first attempt', () => {
  const failed = buildAttempt(0, 'failed', { errorCode: 30001 })
  const retrying = buildMessage('retrying', [failed, buildAttempt(1, 'pending')])
  expect(dropPending(retrying)).toMatchObject({ attempts: [failed], retryCount: 0 })
  const pending = buildMessage('pending', [buildAttempt(0, 'pending')])
  expect(dropPending(pending)).toBe(pending)
})

/** A row without attempts in its metadata. */
const others = (status: Message['status'], fields: Partial<Message> = {}): Message =>
  buildMessage(status, [], { sid: sidOf(0), ...fields })

/** The callback's URL is not ours: only the sid identifies the message. */
const bySid = (status: TwilioStatus, errorCode: number | null = null): Event =>
  callback(status, errorCode, null)

describe('a row that the app wrote', () => {
  test.each([
    ['unknown with a sid', '0 accepted', others('unknown')],
    ['sent', '0 sent', others('sent')],
    ['undelivered after two retries', '2 undelivered', others('undelivered', { retryCount: 2 })],
    ['pending', '0 pending', others('pending', { sid: null })],
    ['submitting, second retry', '2 submitting', others('submitting', { sid: null, retryCount: 2 })],
    ['retrying', '1 failed, 2 pending', others('retrying', { retryCount: 2 })],
  ])('that is %s has the attempts %s', (_, expected, message) => {
    expect(
      entriesOf(message)
        .map(({ number, status }) => `${number} ${status}`)
        .join(', '),
    ).toBe(expected)
  })

  test('with attempts in its metadata is read from these, whatever its columns say', () => {
    const message = buildMessage('sent', [buildAttempt(0, 'sent')], { retryCount: 2 })
    expect(entriesOf(message)).toBe(message.attempts)
  })

  test.each([
    'unknown',
    'accepted',
    'queued',
    'sent',
  ] as const)('that is %s with a sid is followed and retried', (status) => {
    expect(play(others(status), [bySid('delivered')])).toMatchObject({ status: 'delivered', success: true })
    const failed = play(others(status), [bySid('undelivered', 30003)])
    expect(failed).toMatchObject({ status: 'retrying', retryCount: 1, nextRetryAt: secondsFromNow(300) })
    const decision = decide(failed, due(1), context({ now: secondsFromNow(300) }))
    expect(decision).toMatchObject({ kind: 'submit', submission: { attempt: 1, to: failed.to } })
  })

  test('that was sent as the second retry gets one more retry', () => {
    const third = play(others('sent', { retryCount: 2 }), [bySid('failed', 30001)])
    expect(third).toMatchObject({ status: 'retrying', retryCount: 3 })
    expect(play(others('sent', { retryCount: 3 }), [bySid('failed', 30001)]).status).toBe('failed')
  })

  test('that is retrying is retried when due, unless a late delivered callback cancels the retry', () => {
    const retrying = others('retrying', { retryCount: 1 })
    expect(decide(retrying, due(1), context())).toMatchObject({
      kind: 'submit',
      submission: { attempt: 1 },
    })
    const decision = decide(retrying, bySid('delivered'), context())
    expect(decision).toMatchObject({
      kind: 'unschedule',
      job: { attempt: 1 },
      message: { status: 'delivered', retryCount: 0 },
    })
    expect(play(retrying, [bySid('undelivered', 30007)])).toMatchObject({
      status: 'undelivered',
      retryCount: 0,
    })
    expect(play(retrying, [cancel])).toMatchObject({ status: 'canceled', success: false })
  })

  test('that is retrying with any retry_count has each attempt once when it is submitted', () => {
    for (const retryCount of [0, 1, 2]) {
      const submitting = play(others('retrying', { retryCount }), [due(retryCount)])
      const numbers = submitting.attempts.map(({ number }) => number)
      expect(submitting.status).toBe('submitting')
      expect(numbers).toEqual([...new Set(numbers)])
      const failed = play(submitting, [rejected(30001, retryCount)])
      expect(failed).toMatchObject({ status: 'retrying', retryCount: retryCount + 1 })
    }
  })

  test('with a final status is changed by a better status only', () => {
    expect(play(others('delivered'), [bySid('undelivered', 30003)]).status).toBe('delivered')
    expect(play(others('undelivered'), [bySid('sent')]).status).toBe('undelivered')
    expect(play(others('undelivered'), [bySid('delivered')]).status).toBe('delivered')
  })

  test('ignores a callback with another sid', () => {
    const foreign = callback('delivered', null, null, sidOf(9))
    expect(decide(others('sent'), foreign, context()).kind).toBe('ignore')
  })
})
