// Owns the tests of when a message is left as it is: three days after it became what it is, and not before Twilio was
// asked for the last time and has answered.
import { describe, expect, test } from '@jest/globals'
import { decide } from '../../src/delivery/decide.ts'
import type { Decision } from '../../src/delivery/decision.ts'
import type { Event, Message } from '../../src/delivery/message.ts'
import { callback, context, fetched, listedEntry, outcomeOf, secondsFromNow } from './build-message.ts'
import { MESSAGES } from './decision-table.ts'

const HOURS_72 = 72 * 3600

/** So many seconds after the messages became what they are. */
const timeAfter = (elapsed: number): Date => secondsFromNow(elapsed - 60)

function happens(message: Message, event: Event, elapsed: number): Decision {
  return decide(message, event, context({ now: timeAfter(elapsed) }))
}

/** The message after Twilio was asked for it, with the answer still to come. */
function asked(status: 'submitting' | 'sent', elapsed: number): Message {
  const message = { ...MESSAGES[status], reconcileAt: timeAfter(elapsed) }
  const decision = happens(message, { kind: 'reconcile', isJobScheduled: false }, elapsed)
  if (decision.kind !== 'inquire') throw new Error(`not asked: ${decision.kind}`)
  return decision.message
}

const nothingNew = fetched('sent')
const missing: Event = { kind: 'missing' }

function listed(fields: Partial<Extract<Event, { kind: 'listed' }>>): Event {
  return {
    kind: 'listed',
    attempt: 0,
    claimedAt: timeAfter(0),
    entries: [],
    toleranceSeconds: 2,
    isComplete: true,
    others: [],
    ...fields,
  }
}

const undecided = listed({ entries: [listedEntry(), listedEntry()] })

describe('after three days', () => {
  test.each([
    'submitting',
    'sent',
  ] as const)('a message that is %s is asked for, and asked for again until there is an answer', (status) => {
    for (const elapsed of [HOURS_72, HOURS_72 + 900, 2 * HOURS_72]) {
      const message = asked(status, elapsed)
      expect(message).toEqual({ ...MESSAGES[status], reconcileAt: timeAfter(elapsed + 900) })
      expect(happens(message, { kind: 'reconcile', isJobScheduled: false }, elapsed + 899).kind).toBe(
        'ignore',
      )
      expect(happens(message, { kind: 'reconcile', isJobScheduled: false }, elapsed + 900).kind).toBe(
        'inquire',
      )
    }
  })

  test.each<[string, 'submitting' | 'sent', Event, RegExp]>([
    ['that says nothing new', 'sent', nothingNew, /^Twilio reported nothing new\. After three days/],
    ['that Twilio does not know its sid', 'sent', missing, /^Twilio reported nothing new\. After three days/],
    ['that does not decide', 'submitting', undecided, /^It is not known .*\. After three days/],
  ])('an answer %s is the last: the message is left, and says so', (_what, status, event, reason) => {
    const message = asked(status, HOURS_72)
    const decision = happens(message, event, HOURS_72 + 1)
    expect(decision).toMatchObject({ kind: 'record', message: { status, reconcileAt: 'never' } })
    const left = outcomeOf(message, decision)
    expect(left.reason).toMatch(reason)
    expect(left.attempts).toEqual(message.attempts)
    expect(happens(left, { kind: 'reconcile', isJobScheduled: false }, 10 * HOURS_72).kind).toBe('ignore')
  })

  test('an answer with news counts as ever', () => {
    expect(happens(asked('sent', HOURS_72), fetched('delivered'), HOURS_72 + 1)).toMatchObject({
      message: { status: 'delivered', reconcileAt: null, reason: null },
    })
    expect(happens(asked('submitting', HOURS_72), listed({}), HOURS_72 + 1)).toMatchObject({
      kind: 'schedule',
      message: { status: 'pending' },
    })
  })

  test('a message that was left is not left again, nor says so twice', () => {
    const left = outcomeOf(MESSAGES.sent, happens(asked('sent', HOURS_72), nothingNew, HOURS_72))
    for (const event of [nothingNew, missing, callback('sent')]) {
      expect(outcomeOf(left, happens(left, event, HOURS_72 + 9))).toEqual(left)
    }
    const late = outcomeOf(left, happens(left, callback('queued'), HOURS_72 + 9))
    expect(late).toMatchObject({ reconcileAt: 'never', reason: left.reason })
    expect(late.attempts).not.toEqual(left.attempts)
    expect(happens(left, callback('delivered'), HOURS_72 + 9)).toMatchObject({
      message: { status: 'delivered', reconcileAt: null, reason: null },
    })
  })
})

describe('before three days have passed', () => {
  test.each([
    ['that says nothing new', nothingNew],
    ['that Twilio does not know its sid', missing],
  ])('an answer %s only says when to look again', (_what, event) => {
    const message = asked('sent', 9600)
    const decision = happens(message, event, 9601)
    expect(decision).toEqual({ kind: 'record', message: { ...message, reconcileAt: timeAfter(2 * 9601) } })
  })

  test('a callback that says nothing new is no answer', () => {
    for (const elapsed of [300, HOURS_72]) {
      expect(happens(asked('sent', elapsed), callback('sent'), elapsed + 1).kind).toBe('ignore')
    }
  })

  test('an answer that does not decide says when to look again', () => {
    const decision = happens(asked('submitting', 45), undecided, 46)
    expect(decision).toMatchObject({ kind: 'record', message: { reconcileAt: timeAfter(69) } })
    expect(outcomeOf(MESSAGES.submitting, decision).reason).not.toMatch(/three days/)
  })
})
