// Tests the gate as a table, and that every way into `submitting` asks it. gate-year.test.ts follows messages over a year.
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { decide } from '../../src/delivery/decide.ts'
import type { Circumstances, Context, Decision } from '../../src/delivery/decision.ts'
import { gate, type GatedMessage } from '../../src/delivery/gate.ts'
import type { Event, Message } from '../../src/delivery/message.ts'
import { createRetryPolicy } from '../../src/delivery/retry-policy.ts'
import { UNRESTRICTED } from '../support/circumstances.ts'
import {
  buildAttempt,
  buildMessage,
  callback,
  context,
  due,
  NOW,
  notProcessed,
  play,
  rejected,
  retry,
  secondsFromNow,
  submittingMessage,
  toLatestClaim,
} from './build-message.ts'

/** A Wednesday. It is 12:00 in UTC, 08:00 in New York, 21:00 in Tokyo. */
const at = (time: string, date = '2026-07-01'): Date => new Date(`${date}T${time}:00Z`)
const TOMORROW = '2026-07-02'

const DAY = { from: '08:00', to: '21:00' }
/** Open from 08:00 to 21:00 UTC, for everybody. */
const BY_DAY: Circumstances = { ...UNRESTRICTED, sendWindow: DAY, zonesOf: () => ['UTC'] }
const NOT_ALLOWED: Circumstances = { ...BY_DAY, isAllowed: () => false }

const MESSAGE = buildMessage('pending', [buildAttempt(0, 'pending')])

const allowed: Message = MESSAGE

function ask(
  message: Partial<GatedMessage>,
  asked: Date,
  circumstances: Circumstances,
  fields: Partial<Context> = {},
): string {
  const passage = gate({ ...allowed, ...message }, asked, context({ now: asked, circumstances, ...fields }))
  switch (passage.kind) {
    case 'now':
      return passage.until === null ? 'now' : `now, until ${passage.until.toISOString()}`
    case 'at':
      return `at ${passage.at.toISOString()}: ${passage.reason}`
    case 'never':
      return `never, ${passage.status}: ${passage.reason}`
  }
}

const nowUntil = (until: Date): string => `now, until ${until.toISOString()}`
const WINDOW = 'It waits for its send window, 08:00-21:00 in UTC'
const LATER = 'The app asked for a later time (sendAfter)'
const UNKNOWN_ZONE =
  'Its send window cannot be read, because the time zone of its number is not known. Set SEND_WINDOW_FALLBACK_TIME_ZONE'
const opensAt = (time: Date, reason = WINDOW): string => `at ${time.toISOString()}: ${reason}`

describe('the gate', () => {
  test.each<[what: string, asked: Date, Partial<GatedMessage>, Circumstances, expected: string]>([
    ['lets a message without any rule pass', at('03:00'), {}, UNRESTRICTED, 'now'],
    ['passes the deadline on', at('03:00'), { deadline: at('04:00') }, UNRESTRICTED, nowUntil(at('04:00'))],
    ['passes the end of the opening on', at('12:00'), {}, BY_DAY, nowUntil(at('21:00'))],
    ['passes an earlier deadline on', at('12:00'), { deadline: at('13:00') }, BY_DAY, nowUntil(at('13:00'))],
    ['passes an earlier end on', at('12:00'), { deadline: at('22:00') }, BY_DAY, nowUntil(at('21:00'))],

    ['waits for the opening in the morning', at('07:59'), {}, BY_DAY, opensAt(at('08:00'))],
    ['lets pass at the minute of the opening', at('08:00'), {}, BY_DAY, nowUntil(at('21:00'))],
    ['lets pass a minute before the end', at('20:59'), {}, BY_DAY, nowUntil(at('21:00'))],
    ['waits from the end on', at('21:00'), {}, BY_DAY, opensAt(at('08:00', TOMORROW))],
    ['lets an urgent message pass at night', at('03:00'), { sendWindow: 'any' }, BY_DAY, 'now'],
    [
      'prefers the window of the message',
      at('03:00'),
      { sendWindow: { from: '02:00', to: '04:00' } },
      BY_DAY,
      nowUntil(at('04:00')),
    ],
    [
      'reads the window of a message without a window in the configuration',
      at('05:00'),
      { sendWindow: { from: '02:00', to: '04:00' }, timeZone: 'UTC' },
      UNRESTRICTED,
      opensAt(at('02:00', TOMORROW), 'It waits for its send window, 02:00-04:00 in UTC'),
    ],
    [
      'reads the hours in the time zone of the message',
      at('11:00'),
      { timeZone: 'America/New_York' },
      BY_DAY,
      opensAt(at('12:00'), 'It waits for its send window, 08:00-21:00 in America/New_York'),
    ],
    [
      'reads the hours in all time zones of the number',
      at('12:00'),
      {},
      { ...BY_DAY, zonesOf: () => ['America/New_York', 'America/Los_Angeles'] },
      opensAt(at('15:00'), 'It waits for its send window, 08:00-21:00 in the time zones of the recipient'),
    ],
    [
      'never guesses a time zone, and asks again in an hour',
      at('12:00'),
      {},
      { ...BY_DAY, zonesOf: () => [] },
      opensAt(at('13:00'), UNKNOWN_ZONE),
    ],

    [
      'waits for sendAfter',
      at('12:00'),
      { sendAfter: at('13:00') },
      UNRESTRICTED,
      opensAt(at('13:00'), LATER),
    ],
    ['lets pass at sendAfter', at('13:00'), { sendAfter: at('13:00') }, UNRESTRICTED, 'now'],
    [
      'waits for sendAfter in the opening',
      at('03:00'),
      { sendAfter: at('13:00') },
      BY_DAY,
      opensAt(at('13:00'), LATER),
    ],
    [
      'waits for the opening after sendAfter',
      at('12:00'),
      { sendAfter: at('22:00') },
      BY_DAY,
      opensAt(at('08:00', TOMORROW), `${LATER}. ${WINDOW}`),
    ],
    [
      'names sendAfter and an unknown time zone',
      at('12:00'),
      { sendAfter: at('13:00') },
      { ...BY_DAY, zonesOf: () => [] },
      opensAt(at('14:00'), `${LATER}. ${UNKNOWN_ZONE}`),
    ],

    [
      'expires a message whose deadline has passed',
      at('12:00'),
      { deadline: at('12:00') },
      BY_DAY,
      'never, expired: Its deadline passed before it could be sent',
    ],
    [
      'expires a message whose window opens at the deadline',
      at('03:00'),
      { deadline: at('08:00') },
      BY_DAY,
      `never, expired: ${WINDOW}. The next attempt would come after the deadline`,
    ],
    [
      'keeps a message whose window opens before the deadline',
      at('03:00'),
      { deadline: at('08:01') },
      BY_DAY,
      opensAt(at('08:00')),
    ],
    [
      'expires a message whose sendAfter is beyond its deadline',
      at('12:00'),
      { sendAfter: at('14:00'), deadline: at('13:00') },
      UNRESTRICTED,
      `never, expired: ${LATER}. The next attempt would come after the deadline`,
    ],
    [
      'fails a message without a text, even at night',
      at('03:00'),
      { body: null },
      BY_DAY,
      'never, failed: Not sent: the row has no text (message_content)',
    ],
    [
      'expires a message without a text whose deadline has passed',
      at('03:00'),
      { body: null, deadline: at('02:00') },
      BY_DAY,
      'never, expired: Its deadline passed before it could be sent',
    ],
    [
      'cancels a message to a recipient that the allow-list lacks, whatever else holds',
      at('03:00'),
      { body: null, deadline: at('02:00'), sendAfter: at('13:00') },
      NOT_ALLOWED,
      'never, canceled: The recipient is not in RECIPIENT_ALLOWLIST',
    ],
    [
      'cancels an urgent message to such a recipient',
      at('12:00'),
      { sendWindow: 'any' },
      NOT_ALLOWED,
      'never, canceled: The recipient is not in RECIPIENT_ALLOWLIST',
    ],
  ])('%s', (_what, asked, message, circumstances, expected) => {
    expect(ask(message, asked, circumstances)).toBe(expected)
  })

  test('starts nothing in the last minute of an opening', () => {
    const lastMinute = new Date(at('20:59').getTime() + 1)
    expect(ask({}, lastMinute, BY_DAY)).toBe(opensAt(at('08:00', TOMORROW)))
  })

  test('uses openings of one minute, which are shorter than the last minute and the spread', () => {
    const sendWindow = { from: '08:00', to: '08:01' }
    const fields = { policy: createRetryPolicy({ jitter: 1 }), random: 0.999 }
    expect(ask({ sendWindow }, at('07:00'), BY_DAY, fields)).toMatch(/^at 2026-07-01T08:00:14\.985Z/)
    expect(ask({ sendWindow }, new Date('2026-07-01T08:00:14.985Z'), BY_DAY, fields)).toBe(
      nowUntil(at('08:01')),
    )
    expect(ask({ sendWindow }, new Date('2026-07-01T08:00:46Z'), BY_DAY)).toMatch(/^at 2026-07-02T08:00/)
  })

  test.each<[jitter: number, random: number, window: typeof DAY, at: string]>([
    [0.1, 0, DAY, '08:00:00.000'],
    [0.1, 0.5, DAY, '08:03:00.000'],
    [0.1, 0.999, DAY, '08:05:59.640'],
    [1, 0.5, DAY, '08:30:00.000'],
    [0, 0.999, DAY, '08:00:00.000'],
    // At most a quarter of the opening.
    [1, 0.5, { from: '08:00', to: '09:00' }, '08:07:30.000'],
  ])('with a jitter of %d and a random number of %d, spreads the start of %j to %s', (jitter, random, window, time) => {
    const fields = { policy: createRetryPolicy({ jitter }), random }
    expect(ask({ sendWindow: window }, at('03:00'), BY_DAY, fields)).toMatch(`at 2026-07-01T${time}Z`)
  })

  test.each<[deadline: string, random: number, expected: string]>([
    ['08:04', 0, '08:00:00.000'],
    ['08:04', 0.9, '08:00:54.000'],
    ['08:04', 0.999, '08:00:59.940'],
    // A quarter of this time is longer than the usual spread.
    ['08:40', 0.5, '08:03:00.000'],
  ])('with a deadline at %s and a random number of %d, spreads the start to %s, before the deadline', (deadline, random, time) => {
    const fields = { policy: createRetryPolicy({ jitter: 0.1 }), random }
    expect(ask({ deadline: at(deadline) }, at('03:00'), BY_DAY, fields)).toBe(
      opensAt(new Date(`2026-07-01T${time}Z`)),
    )
  })

  test('does not scale the clock of a window', () => {
    const fields = { policy: createRetryPolicy({ jitter: 0 }, 0.001) }
    expect(ask({}, at('03:00'), BY_DAY, fields)).toBe(opensAt(at('08:00')))
    expect(ask({ sendAfter: at('13:00') }, at('12:00'), BY_DAY, fields)).toBe(opensAt(at('13:00'), LATER))
  })
})

test('a message that waits passes at the time that the gate gave, for any window, zones and spread', () => {
  const timeOfDay = fc
    .integer({ min: 0, max: 24 * 60 - 1 })
    .map((minute) => new Date(minute * 60_000).toISOString().slice(11, 16))
  const window = fc.record({ from: timeOfDay, to: timeOfDay }).filter(({ from, to }) => from !== to)
  const zones = fc.uniqueArray(fc.constantFrom(...Intl.supportedValuesOf('timeZone')), {
    minLength: 1,
    maxLength: 4,
  })
  const time = fc.date({ min: new Date('2024-01-01'), max: new Date('2030-01-01'), noInvalidDate: true })
  const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
  let waited = 0
  fc.assert(
    fc.property(time, window, zones, share, share, (asked, sendWindow, places, jitter, random) => {
      const circumstances = { ...BY_DAY, sendWindow, zonesOf: () => places }
      const policy = createRetryPolicy({ jitter })
      const askAt = (now: Date) => gate(MESSAGE, now, context({ now, circumstances, policy, random }))
      const passage = askAt(asked)
      if (passage.kind !== 'at') return
      waited += 1
      expect(passage.at.getTime()).toBeGreaterThan(asked.getTime())
      const then = askAt(passage.at)
      // A very short opening may be followed by a long one, which is preferred.
      const last = then.kind === 'at' ? askAt(then.at) : then
      expect(last).toMatchObject({ kind: 'now', until: expect.any(Date) })
    }),
    { numRuns: 500 },
  )
  expect(waited).toBeGreaterThan(100)
})

describe('every way into a submission asks the gate:', () => {
  /** NOW is 12:00 UTC, which is 21:00 in Tokyo. The window opens at 08:00 there, which is 23:00 UTC. */
  const TOKYO: Circumstances = { ...UNRESTRICTED, sendWindow: DAY, zonesOf: () => ['Asia/Tokyo'] }
  const OPENING = at('23:00')
  const listed = { kind: 'listed', attempt: 0, claimedAt: secondsFromNow(-60), entries: [] } as const
  const absent: Event = { ...listed, toleranceSeconds: 2, isComplete: true, others: [] }
  const failed = buildMessage('failed', [buildAttempt(0, 'failed', { errorCode: 30003 })])
  const canceled = buildMessage('canceled', [buildAttempt(0, 'pending')])

  const WAYS: [what: string, Message, Event, attempt: number][] = [
    ['a due first attempt', MESSAGE, due(0), 0],
    ['a due retry', play(submittingMessage(), [rejected(30001)]), due(1), 1],
    ['a retry after a refusal', submittingMessage(), rejected(30001), 1],
    ['a retry after a callback', submittingMessage(), callback('undelivered', 30003), 1],
    ['an attempt that was not processed', submittingMessage(), notProcessed(), 0],
    ['an attempt that Twilio does not have', submittingMessage(), absent, 0],
    ['a manual retry of a failed message', failed, retry(), 1],
    ['a manual retry of a canceled message', canceled, retry(), 0],
  ]

  const decideWith = (message: Message, event: Event, circumstances: Circumstances): Decision => {
    const now = event.kind === 'due' ? secondsFromNow(60) : NOW
    return decide(message, toLatestClaim(message, event), context({ circumstances, now }))
  }

  test.each(WAYS)('%s waits for the send window', (_what, message, event, attempt) => {
    const decision = decideWith(message, event, TOKYO)
    expect(decision).toMatchObject({ kind: 'schedule', at: OPENING, job: { attempt } })
    expect(decision).toMatchObject({
      message: { nextRetryAt: OPENING, reason: expect.stringMatching(/Asia\/Tokyo/) },
    })
  })

  test.each(WAYS)('%s waits for sendAfter', (_what, message, event, attempt) => {
    const decision = decideWith({ ...message, sendAfter: at('20:00') }, event, UNRESTRICTED)
    expect(decision).toMatchObject({ kind: 'schedule', at: at('20:00'), job: { attempt } })
    expect(decision).toMatchObject({
      message: { nextRetryAt: at('20:00'), reason: expect.stringMatching(/sendAfter/) },
    })
  })

  test.each(WAYS)('%s is not made if the window opens after the deadline', (_what, message, event) => {
    const decision = decideWith({ ...message, deadline: at('22:00') }, event, TOKYO)
    if (event.kind === 'retry')
      return expect(decision).toMatchObject({
        kind: 'ignore',
        why: expect.stringMatching(/deadline/),
      })
    expect(decision.kind).toMatch(/^(record|unschedule)$/)
    expect(decision).toMatchObject({
      message: { status: 'expired', reason: expect.stringMatching(/Tokyo.*deadline/) },
    })
  })

  test.each(WAYS)('%s is not made to a recipient that the allow-list lacks', (_what, message, event) => {
    const decision = decideWith(message, event, NOT_ALLOWED)
    const names = expect.stringMatching(/RECIPIENT_ALLOWLIST/)
    if (event.kind === 'retry') return expect(decision).toMatchObject({ kind: 'ignore', why: names })
    expect(decision.kind).toMatch(/^(record|unschedule)$/)
    expect(decision).toMatchObject({ message: { status: 'canceled', nextRetryAt: null, reason: names } })
  })

  test('a submission ends with the opening: it is the validity that Twilio gets', () => {
    const now = at('19:30')
    const decision = decide(MESSAGE, due(0), context({ now, circumstances: BY_DAY }))
    expect(decision).toMatchObject({ kind: 'submit', submission: { validitySeconds: 5400 } })
  })
})

describe('a manual retry of a message that waits', () => {
  const waiting = (nextRetryAt: Date, fields: Partial<Message> = {}): Message =>
    buildMessage('retrying', [buildAttempt(0, 'failed', { errorCode: 30003 }), buildAttempt(1, 'pending')], {
      nextRetryAt,
      ...fields,
    })
  const night = context({ now: at('03:00'), circumstances: BY_DAY })

  test('for the next opening has no effect, and says why', () => {
    const policy = createRetryPolicy()
    const decision = decide(waiting(at('08:03')), retry(), { ...night, policy, random: 0.1 })
    expect(decision).toEqual({ kind: 'ignore', why: `it waits for its send window, 08:00-21:00 in UTC` })
  })

  test('for the next opening has no effect if a deadline shortens the spread', () => {
    const deadline = at('08:04')
    const waits = (nextRetryAt: Date): Decision =>
      decide(waiting(nextRetryAt, { deadline }), retry(), {
        ...night,
        policy: createRetryPolicy(),
        random: 0.1,
      })
    expect(waits(at('08:01')).kind).toBe('ignore')
    expect(waits(at('08:02')).kind).toBe('schedule')
  })

  test('for a later time moves it to the next opening', () => {
    const decision = decide(waiting(at('12:00', TOMORROW)), retry(), night)
    expect(decision).toMatchObject({ kind: 'schedule', at: at('08:00'), message: { reason: WINDOW } })
  })

  test('for a later time moves it to now in an opening', () => {
    const decision = decide(
      waiting(at('14:00')),
      retry(),
      context({ now: at('12:00'), circumstances: BY_DAY }),
    )
    expect(decision).toMatchObject({ kind: 'schedule', at: at('12:00') })
  })
})
