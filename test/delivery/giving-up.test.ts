// Tests when checks of a message end: three days after its last change, and only after Twilio has answered a lookup.
import { describe, expect, test } from '@jest/globals'
import { decide } from '../../src/delivery/decide.ts'
import type { Decision } from '../../src/delivery/decision.ts'
import type { Event, Message } from '../../src/delivery/message.ts'
import { callback, context, fetched, listedEntry, outcomeOf, secondsFromNow } from './build-message.ts'
import { MESSAGES } from './decision-table.ts'

const HOURS_72 = 72 * 3600

/** The time `elapsed` seconds after the last change of the messages. */
const timeAfter = (elapsed: number): Date => secondsFromNow(elapsed - 60)

function happens(message: Message, event: Event, elapsed: number): Decision {
  return decide(message, event, context({ now: timeAfter(elapsed) }))
}

/** The message during a lookup at Twilio. */
function asked(status: 'submitting' | 'sent', elapsed: number): Message {
  const message = { ...MESSAGES[status], reconcileAt: timeAfter(elapsed) }
  const decision = happens(message, { kind: 'reconcile', isJobScheduled: false }, elapsed)
  if (decision.kind !== 'inquire') throw new Error(`not looked up: ${decision.kind}`)
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

describe('after three days without news', () => {
  test.each([
    'submitting',
    'sent',
  ] as const)('a message that is %s is looked up until Twilio answers', (status) => {
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
    ['that is not new', 'sent', nothingNew, /^Twilio reported no final status\. sms-retry stopped checking/],
    [
      'that Twilio does not have its sid',
      'sent',
      missing,
      /^Twilio reported no final status\. sms-retry stopped checking/,
    ],
    ['that is undecided', 'submitting', undecided, /^It is not known .*\. sms-retry stopped checking/],
  ])('an answer %s ends the checks, and the reason says so', (_what, status, event, reason) => {
    const message = asked(status, HOURS_72)
    const decision = happens(message, event, HOURS_72 + 1)
    expect(decision).toMatchObject({ kind: 'record', message: { status, reconcileAt: 'never' } })
    const left = outcomeOf(message, decision)
    expect(left.reason).toMatch(reason)
    expect(left.attempts).toEqual(message.attempts)
    expect(happens(left, { kind: 'reconcile', isJobScheduled: false }, 10 * HOURS_72).kind).toBe('ignore')
  })

  test('an answer with a new status is recorded as usual', () => {
    expect(happens(asked('sent', HOURS_72), fetched('delivered'), HOURS_72 + 1)).toMatchObject({
      message: { status: 'delivered', reconcileAt: null, reason: null },
    })
    expect(happens(asked('submitting', HOURS_72), listed({}), HOURS_72 + 1)).toMatchObject({
      kind: 'schedule',
      message: { status: 'pending' },
    })
  })

  test('the end of the checks is noted in the reason once', () => {
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

describe('before three days without news', () => {
  test.each([
    ['that is not new', nothingNew],
    ['that Twilio does not have its sid', missing],
  ])('an answer %s only sets the time of the next check', (_what, event) => {
    const message = asked('sent', 9600)
    const decision = happens(message, event, 9601)
    expect(decision).toEqual({ kind: 'record', message: { ...message, reconcileAt: timeAfter(2 * 9601) } })
  })

  test('a callback that is not new does not count as an answer', () => {
    for (const elapsed of [300, HOURS_72]) {
      expect(happens(asked('sent', elapsed), callback('sent'), elapsed + 1).kind).toBe('ignore')
    }
  })

  test('an undecided answer sets the time of the next check', () => {
    const decision = happens(asked('submitting', 45), undecided, 46)
    expect(decision).toMatchObject({ kind: 'record', message: { reconcileAt: timeAfter(69) } })
    expect(outcomeOf(MESSAGES.submitting, decision).reason).not.toMatch(/three days/)
  })
})
