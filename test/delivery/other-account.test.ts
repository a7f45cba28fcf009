// Tests that an attempt belongs to the account that it was claimed for: another account does not have it.
import { describe, expect, test } from '@jest/globals'
import { decide } from '../../src/delivery/decide.ts'
import type { Attempt, Message } from '../../src/delivery/message.ts'
import {
  buildAttempt,
  buildMessage,
  context,
  due,
  listedEntry,
  outcomeOf,
  secondsFromNow,
  sidOf,
  submittingMessage,
} from './build-message.ts'

const OURS = `AC${'1'.repeat(32)}`
const OTHER = `AC${'2'.repeat(32)}`

/** A message whose attempt has this status and was claimed a minute ago for this account. */
function claimedFor(account: string | null, message: Message, changes: Partial<Attempt> = {}): Message {
  const attempts = message.attempts.map((attempt) => ({ ...attempt, account, ...changes }))
  return { ...message, attempts, reconcileAt: secondsFromNow(-1) }
}

const look = (message: Message) =>
  decide(message, { kind: 'reconcile', isJobScheduled: false, account: OURS }, context())

test('each claim records its own account and sender', () => {
  const waiting = buildMessage('pending', [buildAttempt(0, 'pending')])
  const event = { ...due(0), identity: { account: OURS, sender: '+12065550100' } }
  const claimed = outcomeOf(waiting, decide(waiting, event, context()))
  expect(claimed.attempts).toMatchObject([{ account: OURS, sender: '+12065550100' }])
})

describe('an attempt in doubt', () => {
  test('is searched for in the list of its own account, or if its row has no account', () => {
    expect(look(claimedFor(OURS, submittingMessage())).kind).toBe('inquire')
    expect(look(claimedFor(null, submittingMessage())).kind).toBe('inquire')
  })

  test('of another account stays in doubt, with a reason', () => {
    const message = claimedFor(OTHER, submittingMessage())
    const decision = look(message)
    expect(decision.kind).toBe('record')
    expect(outcomeOf(message, decision)).toMatchObject({
      status: 'submitting',
      reason: expect.stringContaining(`submitted from account ${OTHER}`),
    })
  })
})

test('an attempt that another account accepted is not looked up, because a 404 would prove nothing', () => {
  const times = { sent: secondsFromNow(-4000).toISOString() }
  const sent = buildMessage('sent', [buildAttempt(0, 'sent', { times })])
  expect(look(claimedFor(OURS, sent)).kind).toBe('inquire')
  const message = claimedFor(OTHER, sent)
  expect(outcomeOf(message, look(message))).toMatchObject({ status: 'sent', reason: message.reason })
  expect(look(message).kind).toBe('record')
})

const NOTHING_LISTED = {
  kind: 'listed',
  attempt: 0,
  claimedAt: secondsFromNow(-60),
  entries: [],
  toleranceSeconds: 2,
  isComplete: true,
  others: [],
} as const

test("a refusal in another account does not account for an entry of this account's list", () => {
  const message = claimedFor(OURS, submittingMessage())
  const refused = claimedFor(OTHER, submittingMessage(), { status: 'failed', errorCode: 30007 })
  const listed = listedEntry({ sid: sidOf(0), status: 'failed', errorCode: 30007 })
  const event = { ...NOTHING_LISTED, entries: [listed], others: [{ ...refused, id: 77 }] }
  expect(outcomeOf(message, decide(message, event, context())).attempts).toMatchObject([
    { status: 'failed', sid: sidOf(0) },
  ])
})

test('an empty list for a number that Twilio stores in another form proves nothing', () => {
  const message = claimedFor(OURS, submittingMessage())
  const decided = (isRewritten: boolean) =>
    outcomeOf(message, decide(message, { ...NOTHING_LISTED, isRewritten }, context()))
  expect(decided(false).status).toBe('pending')
  expect(decided(true)).toMatchObject({
    status: 'submitting',
    reason: expect.stringContaining('another form'),
  })
})
