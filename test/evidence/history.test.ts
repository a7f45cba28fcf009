// Tests how messages become a history: which retries are trials of the policy, and which messages say nothing about it.
import { describe, expect, test } from '@jest/globals'
import type { Attempt } from '../../src/delivery/message.ts'
import type { AttemptStatus, DeliveryStatus } from '../../src/delivery/status.ts'
import { type EndedMessage, historyOf, openRetriesOf, type Path } from '../../src/evidence/history.ts'
import { buildAttempt, buildMessage, NOW } from '../delivery/build-message.ts'

const at = (seconds: number): string => new Date(NOW.getTime() + seconds * 1000).toISOString()

/** An attempt that was scheduled, submitted and reported at these seconds. */
function attemptAt(
  number: number,
  status: AttemptStatus,
  [pending, submitting, reported]: readonly [number, number, number],
  fields: Partial<Attempt> & { readonly segments?: number } = {},
): Attempt {
  const times = { pending: at(pending), submitting: at(submitting), [status]: at(reported) }
  return buildAttempt(number, status, {
    errorCode: status === 'undelivered' ? 30003 : null,
    ...fields,
    times,
  })
}

const FIRST = attemptAt(0, 'undelivered', [0, 0, 10])
const FAILED_RETRY = attemptAt(1, 'undelivered', [10, 310, 330])
const DELIVERED_RETRY = attemptAt(2, 'delivered', [330, 930, 940])

const messageOf = (status: DeliveryStatus, ...attempts: Attempt[]): EndedMessage =>
  buildMessage(status, attempts)
const pathsOf = (...messages: EndedMessage[]): readonly Path[] => historyOf(messages).paths

describe('a message', () => {
  test('that a second retry delivers has both delays, from the failure and from the first failure', () => {
    const [path] = pathsOf(messageOf('delivered', FIRST, FAILED_RETRY, DELIVERED_RETRY))
    expect(path).toMatchObject({ codes: [30003, 30003], end: 'delivered', messages: 1, maxRetries: 3 })
    const [one, two] = path?.retries ?? []
    // Times are rounded to 5 %.
    expect(one?.waitSeconds).toBeGreaterThan(290)
    expect(one?.waitSeconds).toBeLessThan(310)
    expect(one?.elapsedSeconds).toBe(one?.waitSeconds)
    expect(two?.waitSeconds).toBeGreaterThan(580)
    expect(two?.waitSeconds).toBeLessThan(620)
    expect(two?.elapsedSeconds).toBeGreaterThan(890)
    expect(two?.elapsedSeconds).toBeLessThan(950)
  })

  test('that was given up ends with its last code', () => {
    const other = attemptAt(1, 'undelivered', [10, 310, 330], { errorCode: 30007 })
    expect(pathsOf(messageOf('undelivered', FIRST, other))).toMatchObject([
      { codes: [30003, 30007], end: 'failed' },
    ])
  })

  test.each<[string, DeliveryStatus, Attempt]>([
    ['waits for its retry', 'retrying', buildAttempt(1, 'pending')],
    ['has a retry without a result', 'sent', attemptAt(1, 'sent', [10, 310, 311])],
    ['was canceled', 'canceled', buildAttempt(1, 'pending')],
  ])('that %s is open', (_what, status, retry) => {
    expect(pathsOf(messageOf(status, FIRST, retry))).toMatchObject([{ codes: [30003], end: 'open' }])
  })

  test('whose retry was postponed counts the time until it was submitted', () => {
    const postponed = attemptAt(1, 'delivered', [10, 36_010, 36_020], { postponements: 1 })
    const [path] = pathsOf(messageOf('delivered', FIRST, postponed))
    expect(path?.retries[0]?.waitSeconds).toBeGreaterThan(35_000)
  })

  test('whose retry was requested manually counts up to this retry', () => {
    const byHand = attemptAt(1, 'delivered', [4000, 4001, 4010])
    const history = historyOf([messageOf('delivered', FIRST, byHand)])
    expect(history.paths).toMatchObject([{ codes: [30003], retries: [], end: 'failed' }])
    expect(history.leftOut.byHand).toBe(1)
  })

  test('with a failure of the account counts the time across it', () => {
    const excused = attemptAt(1, 'undelivered', [10, 310, 330], { errorCode: 20003, excused: true })
    const [path] = pathsOf(messageOf('delivered', FIRST, excused, DELIVERED_RETRY))
    expect(path).toMatchObject({ codes: [30003], end: 'delivered' })
    expect(path?.retries).toHaveLength(1)
    expect(path?.retries[0]?.waitSeconds).toBeGreaterThan(890)
  })

  test('with a deadline has the time left after its first failure, rounded down', () => {
    const message = buildMessage('delivered', [FIRST, FAILED_RETRY, DELIVERED_RETRY], {
      deadline: new Date(NOW.getTime() + 1010 * 1000),
    })
    const [path] = pathsOf(message)
    expect(path?.remainingSeconds).toBeLessThanOrEqual(1000)
    expect(path?.remainingSeconds).toBeGreaterThan(945)
  })
})

test('messages with the same history are one entry, with the sum of their known segments', () => {
  const measured = attemptAt(0, 'undelivered', [0, 0, 10], { segments: 2 })
  const paths = pathsOf(
    messageOf('undelivered', measured),
    messageOf('undelivered', measured),
    messageOf('undelivered', FIRST),
  )
  expect(paths).toMatchObject([{ messages: 3, measured: 2, segments: 4 }])
})

test('a retry without a final report is an open one, and a retry that was not made is none', () => {
  const history = historyOf([
    messageOf('sent', FIRST, attemptAt(1, 'sent', [10, 310, 311])),
    messageOf('sent', FIRST, FAILED_RETRY, attemptAt(2, 'sent', [330, 930, 931])),
    messageOf('delivered', FIRST, FAILED_RETRY, DELIVERED_RETRY),
    messageOf('retrying', FIRST, buildAttempt(1, 'pending')),
  ])
  expect(openRetriesOf(history)).toEqual({ open: 2, retries: 5 })
})

test.each<['account' | 'corrected' | 'untimed', readonly Attempt[]]>([
  ['account', [attemptAt(0, 'failed', [0, 0, 1], { errorCode: 20003, excused: true })]],
  ['corrected', [buildAttempt(0, 'delivered', { times: { undelivered: at(1), delivered: at(60) } })]],
  ['untimed', [buildAttempt(0, 'failed', { errorCode: 30003, times: {} })]],
  // The app wrote the row, so it has no attempts.
  ['untimed', []],
])('a message is left out, and counted, for the reason %s', (reason, attempts) => {
  const { paths, leftOut } = historyOf([messageOf('failed', ...attempts)])
  expect(paths).toEqual([])
  expect(leftOut).toEqual({ account: 0, corrected: 0, untimed: 0, byHand: 0, [reason]: 1 })
})

test('a message that was delivered at the first attempt is not part of the history', () => {
  const history = historyOf([messageOf('delivered', buildAttempt(0, 'delivered'))])
  expect(history).toEqual({
    paths: [],
    leftOut: { account: 0, corrected: 0, untimed: 0, byHand: 0 },
    isComplete: true,
  })
})
