// Tests the statuses: their ranks, which are final and which are failures.
import { describe, expect, test } from '@jest/globals'
import {
  type AttemptStatus,
  DELIVERY_STATUSES,
  type DeliveryStatus,
  isDelivered,
  isDeliveryStatus,
  isFailedAttempt,
  isFailure,
  isFinal,
  isTwilioStatus,
  outranks,
  TWILIO_STATUSES,
} from '../../src/delivery/status.ts'

const ATTEMPT_STATUSES: readonly AttemptStatus[] = ['pending', 'submitting', ...TWILIO_STATUSES]

const ranked = (predicate: (status: AttemptStatus) => boolean): AttemptStatus[] =>
  ATTEMPT_STATUSES.filter(predicate)

describe('the rank of a status', () => {
  test('rises from pending to submitting, Twilio’s progress, failures, canceled, delivered and read', () => {
    const byRank = ATTEMPT_STATUSES.toSorted((one, other) => (outranks(one, other) ? 1 : -1))
    expect(byRank).toEqual([
      'pending',
      'submitting',
      'accepted',
      'scheduled',
      'queued',
      'sending',
      'sent',
      'undelivered',
      'failed',
      'canceled',
      'delivered',
      'read',
    ])
  })

  test('is different for every status', () => {
    for (const one of ATTEMPT_STATUSES) {
      for (const other of ATTEMPT_STATUSES) {
        const winners = [outranks(one, other), outranks(other, one)].filter(Boolean)
        expect(winners).toHaveLength(one === other ? 0 : 1)
      }
    }
  })

  test('of delivered is above all others, and only that of read is higher', () => {
    expect(ranked((status) => outranks(status, 'delivered'))).toEqual(['read'])
    expect(ranked((status) => !outranks('delivered', status))).toEqual(['delivered', 'read'])
  })
})

describe('a status', () => {
  const meanings: Record<DeliveryStatus, string> = {
    unknown: '',
    pending: '',
    submitting: '',
    retrying: 'failure',
    expired: 'final failure',
    accepted: '',
    scheduled: '',
    queued: '',
    sending: '',
    sent: '',
    undelivered: 'final failure',
    failed: 'final failure',
    canceled: 'final',
    delivered: 'final delivered',
    read: 'final delivered',
  }

  test.each(Object.entries(meanings))('%s: %s', (word, meaning) => {
    const status = DELIVERY_STATUSES.find((known) => known === word) ?? 'unknown'
    expect(status).toBe(word)
    const said = [
      isFinal(status) && 'final',
      isFailure(status) && 'failure',
      isDelivered(status) && 'delivered',
    ]
    expect(said.filter(Boolean).join(' ')).toBe(meaning)
  })

  test('is in the list of delivery statuses once', () => {
    expect(DELIVERY_STATUSES.toSorted()).toEqual(Object.keys(meanings).toSorted())
  })

  test('is a failed attempt if it is undelivered or failed, and otherwise not', () => {
    expect(ranked(isFailedAttempt)).toEqual(['undelivered', 'failed'])
  })
})

describe('a word from outside', () => {
  test('that is a status fits into the column final_status, VARCHAR(20)', () => {
    expect(DELIVERY_STATUSES.filter((status) => status.length > 20)).toEqual([])
  })

  test.each([
    ['sent', 'Twilio’s and ours'],
    ['retrying', 'ours'],
    ['expired', 'ours'],
    ['unknown', 'ours'],
    ['submitting', 'ours'],
    ['receiving', 'neither'],
    ['partially_delivered', 'neither'],
    ['Sent', 'neither'],
    ['', 'neither'],
    ['constructor', 'neither'],
  ])('%j is a status of %s', (word, whose) => {
    const said = isTwilioStatus(word) ? 'Twilio’s and ours' : isDeliveryStatus(word) ? 'ours' : 'neither'
    expect(said).toBe(whose)
  })
})
