// Tests how a person settles an attempt in doubt, and which statements are refused. decision-table.ts has every status.
import { describe, expect, test } from '@jest/globals'
import { decide } from '../../src/delivery/decide.ts'
import { attemptInDoubt } from '../../src/delivery/in-doubt.ts'
import type { Event, Message } from '../../src/delivery/message.ts'
import {
  accepted,
  adopt,
  buildAttempt,
  buildMessage,
  callback,
  context,
  due,
  listedEntry,
  NOW,
  notSent,
  play,
  POLICY,
  secondsFromNow,
  sidOf,
  submittingMessage,
} from './build-message.ts'

const CLAIMED = secondsFromNow(-60)
const inDoubt = submittingMessage()
/** Attempt 1 is in doubt; attempt 0 failed. */
const secondInDoubt = submittingMessage(1)

/** The first attempt was claimed then. */
const submittingMessageAt = (claimedAt: Date): Message =>
  buildMessage('submitting', [
    buildAttempt(0, 'submitting', { times: { submitting: claimedAt.toISOString() } }),
  ])

const whyNot = (message: Message, event: Event, now = NOW): string => {
  const decision = decide(message, event, context({ now }))
  return decision.kind === 'ignore' ? decision.why : `not ignored: ${decision.kind}`
}

const named = (fields: Partial<ReturnType<typeof adopt>['found']>): Event =>
  adopt({ found: { ...adopt().found, ...fields } })

describe('the attempt in doubt of a message', () => {
  test('is its latest one, from 45 seconds after the claim', () => {
    expect(attemptInDoubt(secondInDoubt, NOW)).toEqual({ attempt: 1, claimedAt: CLAIMED, account: null })
    expect(attemptInDoubt(secondInDoubt, secondsFromNow(-15))).toBeNull()
    expect(attemptInDoubt(secondInDoubt, secondsFromNow(-14))).not.toBeNull()
  })

  test('is none if the message is not submitting', () => {
    expect(attemptInDoubt(play(inDoubt, [accepted()]), NOW)).toBeNull()
  })
})

describe('an adopted sid', () => {
  test('becomes the sid of the attempt and the message, and the message is looked up after five minutes', () => {
    const adopted = play(inDoubt, [adopt()])
    expect(adopted).toMatchObject({ status: 'sent', sid: sidOf(999), reason: null })
    expect(adopted.attempts).toMatchObject([{ number: 0, sid: sidOf(999), status: 'sent' }])
    expect(adopted.reconcileAt).toEqual(secondsFromNow(300))
  })

  test('of a message whose checks have ended is checked again', () => {
    const given = { ...inDoubt, reconcileAt: 'never' } as const
    expect(play(given, [adopt()]).reconcileAt).toEqual(secondsFromNow(300))
  })

  test('is followed by its callbacks', () => {
    const after = play(inDoubt, [adopt(), callback('delivered', null, 0, sidOf(999))])
    expect(after).toMatchObject({ status: 'delivered', success: true })
  })

  test('whose message failed at Twilio is retried as the policy says', () => {
    const after = play(secondInDoubt, [adopt({ attempt: 1, status: 'undelivered', errorCode: 30001 })])
    expect(after).toMatchObject({ status: 'retrying', retryCount: 2, nextRetryAt: secondsFromNow(120) })
    const stopped = play(inDoubt, [adopt({ status: 'undelivered', errorCode: 30007 })])
    expect(stopped).toMatchObject({ status: 'undelivered', success: false, nextRetryAt: null })
  })

  test.each<[string, Message, Event, string]>([
    [
      'of a message to another number',
      inDoubt,
      named({ to: '+15550100124' }),
      'the message with this sid went to another number',
    ],
    [
      'of a message with another text',
      inDoubt,
      named({ body: 'Another text' }),
      'the message with this sid has another text',
    ],
    [
      'of a message that is older than the attempt',
      inDoubt,
      named({ ageSeconds: 91 }),
      'the message with this sid was created before the attempt',
    ],
    [
      'of a message that is newer than any that the request can have created',
      submittingMessageAt(secondsFromNow(-600)),
      adopt({ claimedAt: secondsFromNow(-600), found: { ...adopt().found, ageSeconds: 524 } }),
      'the message with this sid was created after the attempt',
    ],
    [
      'of a message that Twilio received for a number of the account',
      inDoubt,
      named({ isInbound: true }),
      'the message with this sid is an inbound one',
    ],
    [
      'of a message of another account',
      buildMessage('submitting', [buildAttempt(0, 'submitting', { account: 'AC1' })]),
      named({ account: 'AC2' }),
      'the message with this sid belongs to another Twilio account than the attempt',
    ],
    [
      'that an earlier attempt has',
      secondInDoubt,
      adopt({ attempt: 1, sid: sidOf(0) }),
      'attempt 0 of this message has this sid',
    ],
  ])('%s is refused', (_what, message, event, why) => {
    expect(whyNot(message, event)).toBe(why)
  })

  test.each<[string, Event]>([
    ['if Twilio hides the text', named({ body: '' })],
    [
      'if Twilio states neither account, number nor time',
      named({ account: null, to: null, ageSeconds: null }),
    ],
    ['if the answer took half a minute', named({ ageSeconds: 90 })],
    ['if Twilio created the message as late as it can', named({ ageSeconds: -15 })],
    ['if the number has another form', named({ to: '15550100123' })],
  ])('is accepted %s', (_what, event) => {
    expect(play(inDoubt, [event]).sid).toBe(sidOf(999))
  })
})

describe('an attempt that Twilio does not have, as a person states', () => {
  test('is made again now as the same attempt, and the reason names the person', () => {
    expect(decide(secondInDoubt, notSent({ attempt: 1 }), context())).toMatchObject({
      kind: 'schedule',
      job: { attempt: 1, postponements: 1 },
      at: NOW,
      message: {
        status: 'retrying',
        retryCount: 1,
        nextRetryAt: NOW,
        reason: 'Twilio does not have the message, says Ann',
      },
    })
  })

  test('expires if the deadline has passed', () => {
    const late = { ...inDoubt, deadline: secondsFromNow(-1) }
    expect(play(late, [notSent()])).toMatchObject({ status: 'expired', success: false })
  })

  test('waits during a pause', () => {
    const account = { ...context().account, pause: { since: NOW, by: 'Bob', reason: null } }
    const paused = play(inDoubt, [notSent()], { account })
    expect(paused).toMatchObject({ status: 'pending', reason: expect.stringMatching(/says Ann\. .*paused/) })
    expect(paused.nextRetryAt?.getTime()).toBeGreaterThan(NOW.getTime())
  })

  test('is not sent twice if Twilio reports it after all, before the new attempt is claimed', () => {
    const reported = decide(play(inDoubt, [notSent()]), callback('sent'), context())
    expect(reported).toMatchObject({ kind: 'unschedule', message: { status: 'sent', nextRetryAt: null } })
  })
})

describe.each<[string, (claimedAt: Date) => Event]>([
  ['an adopted sid', (claimedAt) => adopt({ claimedAt })],
  ['a statement that Twilio does not have it', (claimedAt) => notSent({ claimedAt })],
])('%s', (_what, settle) => {
  test('is refused while the request may be under way', () => {
    expect(whyNot(inDoubt, settle(CLAIMED), secondsFromNow(-15))).toMatch(
      /^its request may still be under way/,
    )
    expect(whyNot(inDoubt, settle(CLAIMED), secondsFromNow(-14))).toMatch(/^not ignored/)
  })

  test.each<[string, readonly Event[]]>([
    ['a callback reported the attempt', [callback('sent')]],
    ['the answer came', [accepted()]],
    ['the attempt was made again and claimed again', [notSent(), due(0)]],
    [
      'the sweep found the attempt',
      [
        {
          ...{ kind: 'listed', attempt: 0, claimedAt: CLAIMED, entries: [listedEntry()] },
          ...{ toleranceSeconds: 2, isComplete: true, others: [] },
        },
      ],
    ],
    ['another person settled it', [adopt()]],
  ])('has no effect if, in the meantime, %s', (_meanwhile, events) => {
    const claimedLater = context({ policy: POLICY, now: secondsFromNow(60) })
    const changed = play(inDoubt, events)
    const decision = decide(changed, settle(CLAIMED), claimedLater)
    expect(decision).toEqual({ kind: 'ignore', why: 'it is no longer in doubt' })
  })

  test('is refused for an attempt that the row does not have', () => {
    expect(whyNot(inDoubt, { ...settle(CLAIMED), attempt: 3 } as Event)).toBe('it is no longer in doubt')
  })
})
