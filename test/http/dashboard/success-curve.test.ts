// The success of retries by their delay, and the breakdown of failures by calling code and hour.
import { describe, expect, test } from '@jest/globals'
import type { FailedAttempt } from '../../../src/db/failed-attempts.ts'
import { wilsonInterval } from '../../../src/evidence/wilson.ts'
import { byHour, byPrefix } from '../../../src/http/dashboard/code-breakdown.ts'
import { successByDelay } from '../../../src/http/dashboard/success-curve.ts'

const FAILED_AT = '2026-11-30T10:00:00.000Z'

function retried(delaySeconds: number, status: string, more: Partial<FailedAttempt> = {}): FailedAttempt {
  const claimedAt = new Date(Date.parse(FAILED_AT) + delaySeconds * 1000).toISOString()
  const retry = { number: 1, status, claimedAt, segments: null }
  return { id: 1, isRecovered: false, prefix: '+120', failedAt: FAILED_AT, retry, ...more }
}

describe('the success of retries by delay', () => {
  test('counts retries with a known outcome, in buckets of delay', () => {
    const attempts = [
      ...Array.from({ length: 8 }, () => retried(300, 'delivered')),
      ...Array.from({ length: 2 }, () => retried(479, 'undelivered')),
      retried(480, 'read'),
      retried(7 * 86_400, 'failed'),
    ]
    expect(successByDelay(attempts)).toEqual([
      { fromSeconds: 240, toSeconds: 480, trials: 10, delivered: 8, interval: wilsonInterval(8, 10) },
      { fromSeconds: 480, toSeconds: 900, trials: 1, delivered: 1, interval: wilsonInterval(1, 1) },
      {
        fromSeconds: 115_200,
        toSeconds: Number.POSITIVE_INFINITY,
        trials: 1,
        delivered: 0,
        interval: wilsonInterval(0, 1),
      },
    ])
  })

  test.each([
    ['has no retry', { retry: null }],
    [
      'is followed by a retry that is under way',
      { retry: { number: 1, status: 'sent', claimedAt: FAILED_AT, segments: 1 } },
    ],
    [
      'is followed by a retry with an unknown status',
      { retry: { number: 1, status: 'flying', claimedAt: FAILED_AT, segments: 1 } },
    ],
    [
      'is followed by a retry without a time',
      { retry: { number: 1, status: 'delivered', claimedAt: null, segments: 1 } },
    ],
    ['has no time', { failedAt: null }],
    ['has a time that is no time', { failedAt: 'soon' }],
    ['failed after its retry', { failedAt: '2026-11-30T11:00:00.000Z' }],
  ])('leaves out an attempt that %s', (_what, more) => {
    expect(successByDelay([retried(60, 'delivered', more)])).toEqual([])
  })
})

test('messages are counted once by their calling code, the most frequent first', () => {
  const of = (id: number, prefix: string, isRecovered = false): FailedAttempt =>
    retried(60, 'failed', { id, prefix, isRecovered })
  const attempts = [
    of(1, '+120'),
    of(1, '+120'),
    of(2, '+447', true),
    of(3, '447'),
    of(4, '+447'),
    of(5, 'none'),
  ]
  expect(byPrefix(attempts).map(({ prefix, messages, recovered }) => [prefix, messages, recovered])).toEqual([
    ['+44', 3, 1],
    ['+1', 1, 0],
    ['other', 1, 0],
  ])
})

test('failed attempts are counted by their hour of day', () => {
  const at = (failedAt: string | null): FailedAttempt => retried(60, 'failed', { failedAt })
  const hours = byHour([
    at(FAILED_AT),
    at(FAILED_AT),
    at('2026-11-30T23:59:59.999Z'),
    at(null),
    at('soon'),
    at('xT99:'),
  ])
  expect(hours).toHaveLength(24)
  expect([hours[10], hours[23], hours.reduce((sum, each) => sum + each, 0)]).toEqual([2, 1, 3])
})
