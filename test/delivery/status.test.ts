// Owns the tests of the vocabulary: which status outranks which, which are final, which are failures.
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

describe('the order of life', () => {
  test('is pending, submitting, Twilio’s way to the carrier, failures, canceled, delivered, read', () => {
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

  test('of two different statuses exactly one outranks the other, and none outranks itself', () => {
    for (const one of ATTEMPT_STATUSES) {
      for (const other of ATTEMPT_STATUSES) {
        const winners = [outranks(one, other), outranks(other, one)].filter(Boolean)
        expect(winners).toHaveLength(one === other ? 0 : 1)
      }
    }
  })

  test('delivered outranks everything but read, and only read outranks delivered', () => {
    expect(ranked((status) => outranks(status, 'delivered'))).toEqual(['read'])
    expect(ranked((status) => !outranks('delivered', status))).toEqual(['delivered', 'read'])
  })
})

describe('what a status means', () => {
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

  test('the list of delivery statuses has every one of them once', () => {
    expect(DELIVERY_STATUSES.toSorted()).toEqual(Object.keys(meanings).toSorted())
  })

  test('Twilio gives an attempt up with undelivered or failed, and with no other word', () => {
    expect(ranked(isFailedAttempt)).toEqual(['undelivered', 'failed'])
  })
})

describe('words from outside', () => {
  test('every status fits into the column final_status, VARCHAR(20)', () => {
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
  ])('%j is a word of %s', (word, whose) => {
    const said = isTwilioStatus(word) ? 'Twilio’s and ours' : isDeliveryStatus(word) ? 'ours' : 'neither'
    expect(said).toBe(whose)
  })
})
