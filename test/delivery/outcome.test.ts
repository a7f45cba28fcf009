// Which changes of a message the app is told.
import { describe, expect, test } from '@jest/globals'
import { type DecidedOutcome, outcomeOf } from '../../src/delivery/outcome.ts'
import type { Message } from '../../src/delivery/message.ts'
import { DELIVERY_STATUSES, type DeliveryStatus, isFinal } from '../../src/delivery/status.ts'
import { outcomeId } from '../../src/jobs/outcome-queue.ts'
import { buildAttempt, buildMessage } from './build-message.ts'

const AT = new Date('2027-03-01T17:00:00.000Z')

function inStatus(status: DeliveryStatus, changes: Partial<Message> = {}): Message {
  return buildMessage(status, [], changes)
}

const failedWith = (errorCode: number | null): Pick<Message, 'attempts'> => ({
  attempts: [buildAttempt(0, 'failed', { errorCode })],
})

describe.each(DELIVERY_STATUSES)('from %s', (before) => {
  test.each(DELIVERY_STATUSES)('to %s', (after) => {
    const outcome = outcomeOf(inStatus(before), inStatus(after), AT)
    if (!isFinal(after) || before === after) return expect(outcome).toBeNull()
    expect(outcome).toMatchObject({ status: after, previousStatus: before, at: AT })
    expect(outcome?.type === 'message.corrected').toBe(isFinal(before))
    expect(outcome?.corrects === null).toBe(!isFinal(before))
  })
})

test.each<[DeliveryStatus, DecidedOutcome['type']]>([
  ['delivered', 'message.delivered'],
  ['read', 'message.delivered'],
  ['undelivered', 'message.failed'],
  ['failed', 'message.failed'],
  ['expired', 'message.expired'],
  ['canceled', 'message.canceled'],
])('a message that becomes %s first gives %s', (status, type) => {
  expect(outcomeOf(inStatus('sent'), inStatus(status), AT)?.type).toBe(type)
})

test('another error code of a final failure corrects it', () => {
  const before = inStatus('failed', failedWith(null))
  const outcome = outcomeOf(before, inStatus('failed', failedWith(30007)), AT)
  expect(outcome).toMatchObject({ type: 'message.corrected', previousStatus: 'failed', errorCode: 30007 })
})

test('a delivered message has no error code, although an attempt failed', () => {
  expect(outcomeOf(inStatus('sent'), inStatus('delivered', failedWith(30003)), AT)?.errorCode).toBeNull()
})

describe('the id of an outcome', () => {
  const STATE = { messageId: 1, key: 'a', status: 'failed', errorCode: 30003, retryCount: 2 } as const

  const LATER = new Date('2027-03-01T17:00:01.000Z')

  test('is the same for the same decision, also if it is made again after a failover', () => {
    expect(outcomeId({ ...STATE }, LATER)).toBe(outcomeId(STATE, AT))
  })

  test.each<Partial<Parameters<typeof outcomeId>[0]>>([
    { messageId: 2 },
    { key: 'b' },
    { key: null },
    { status: 'undelivered' },
    { errorCode: null },
    { retryCount: 3 },
  ])('differs for %j', (change) => {
    expect(outcomeId({ ...STATE, ...change }, AT)).not.toBe(outcomeId(STATE, AT))
  })

  test.each(['canceled', 'expired'] as const)('differs for each time at which a message is %s', (status) => {
    expect(outcomeId({ ...STATE, status }, LATER)).not.toBe(outcomeId({ ...STATE, status }, AT))
  })
})
