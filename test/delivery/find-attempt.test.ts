// Tests whether an attempt in doubt is found in Twilio's message list. A wrong match would lose a text, a missed match would
// send it twice. listed.test.ts tests the decision that follows.
import { describe, expect, test } from '@jest/globals'
import { compareTexts, type Finding, findAttempt } from '../../src/delivery/find-attempt.ts'
import type { Attempt, ListedMessage, Message } from '../../src/delivery/message.ts'
import {
  buildAttempt,
  buildMessage,
  listedEntry,
  secondsFromNow,
  sidOf,
  submittingMessage,
} from './build-message.ts'

/** When the attempts in these tests were claimed. */
const CLAIMED_AT = secondsFromNow(-60)
const IN_DOUBT = submittingMessage()
const BODY = IN_DOUBT.body ?? ''

/** An entry that was created `seconds` after the claim. */
const created = (afterClaim: number, fields: Partial<ListedMessage> = {}): ListedMessage =>
  listedEntry({ createdAt: secondsFromNow(afterClaim - 60), ...fields })

interface Search {
  readonly message: Message
  readonly others: readonly Message[]
  readonly isComplete: boolean
  readonly toleranceSeconds: number
}

function search(entries: readonly ListedMessage[], fields: Partial<Search> = {}): Finding {
  const { message = IN_DOUBT, others = [], isComplete = true, toleranceSeconds = 2 } = fields
  const attempt = message.attempts.at(-1)
  if (attempt === undefined) throw new Error('the message has no attempt')
  return findAttempt(message, attempt, {
    kind: 'listed',
    attempt: attempt.number,
    claimedAt: CLAIMED_AT,
    entries,
    toleranceSeconds,
    isComplete,
    others,
  })
}

const find = (entries: readonly ListedMessage[], fields: Partial<Search> = {}): Finding['kind'] =>
  search(entries, fields).kind

/** Another message to the same number, whose latest attempt was claimed `seconds` after ours. */
function other(attempt: Attempt, afterClaim: number, fields: Partial<Message> = {}): Message {
  const times = { ...attempt.times, submitting: secondsFromNow(afterClaim - 60).toISOString() }
  return buildMessage(attempt.status, [{ ...attempt, times }], { id: 8, ...fields })
}

describe('an entry that no other message has', () => {
  test('is a match, with Twilio’s status and code', () => {
    const entry = created(1, {
      sid: sidOf(77),
      status: 'undelivered',
      errorCode: 30003,
      errorText: 'Unreachable',
    })
    const { createdAt: _, body: __, ...report } = entry
    expect(search([entry])).toEqual({ kind: 'found', report })
  })

  test('is missing, so the attempt is certainly not there', () => {
    expect(find([])).toBe('absent')
  })

  test('is undecided if there are two', () => {
    expect(find([created(1), created(2)])).toBe('undecided')
  })

  test.each([
    [-3, 'absent'],
    [-2, 'found'],
    [0, 'found'],
    [45, 'found'],
    [47, 'found'],
    [48, 'absent'],
    [3600, 'absent'],
  ])('created %d s after the claim is %s', (afterClaim, kind) => {
    expect(find([created(afterClaim)])).toBe(kind)
  })

  test.each([
    [-6, 'absent'],
    [-5, 'found'],
    [50, 'found'],
    [51, 'absent'],
  ])('created %d s after the claim, with a tolerance of 5 s, is %s', (afterClaim, kind) => {
    expect(find([created(afterClaim)], { toleranceSeconds: 5 })).toBe(kind)
  })

  test.each([
    '2065550199',
    '+1 206 555 0199',
    '+02065550199',
    'whatsapp:+12065550199',
    '12345',
  ])('cannot be searched for with the number %j, which is not in E.164', (to) => {
    expect(find([], { message: { ...IN_DOUBT, to } })).toBe('undecided')
    expect(find([created(1)], { message: { ...IN_DOUBT, to } })).toBe('found')
  })

  test('is a match beside one that was created too early', () => {
    expect(find([created(1), created(-30)])).toBe('found')
  })

  test('is undecided in an incomplete list, and so is its absence', () => {
    expect(find([created(1)], { isComplete: false })).toBe('undecided')
    expect(find([], { isComplete: false })).toBe('undecided')
  })

  test('is undecided for a row without a text', () => {
    expect(find([], { message: { ...IN_DOUBT, body: null } })).toBe('undecided')
  })
})

describe('an entry whose sid is known is no match', () => {
  const sid = sidOf(77)
  const known = created(1, { sid })
  test.each<[string, Partial<Search>]>([
    ['from the column of the row', { message: { ...IN_DOUBT, sid } }],
    [
      'at an earlier attempt of the same message',
      {
        message: buildMessage('submitting', [
          buildAttempt(0, 'undelivered', { sid, errorCode: 30003 }),
          buildAttempt(1, 'submitting'),
        ]),
      },
    ],
    ['from the column of another row', { others: [buildMessage('unknown', [], { id: 8, sid })] }],
    [
      'at an earlier attempt of another message',
      {
        others: [
          buildMessage('retrying', [buildAttempt(0, 'undelivered', { sid }), buildAttempt(1, 'pending')], {
            id: 8,
            sid: sidOf(1),
          }),
        ],
      },
    ],
  ])('%s', (_what, where) => {
    expect(find([known])).toBe('found')
    expect(find([known], where)).toBe('absent')
    expect(find([known, created(2)], where)).toBe('found')
  })
})

describe('another attempt in doubt, with the same text', () => {
  const rival = buildAttempt(0, 'submitting')

  test.each([
    ['that may have the entry', 0, 1, 'undecided'],
    ['that may have it at the last moment', -45, 2, 'undecided'],
    ['that was claimed after the entry was created', 10, 1, 'found'],
    ['whose request had timed out by then', -60, 1, 'found'],
  ])('%s', (_what, rivalAfter, createdAfter, kind) => {
    expect(find([created(createdAfter)], { others: [other(rival, rivalAfter)] })).toBe(kind)
  })

  test('does not matter without an entry', () => {
    expect(find([], { others: [other(rival, 0)] })).toBe('absent')
  })

  test('is a rival with no text, but not with another text', () => {
    expect(find([created(1)], { others: [other(rival, 0, { body: 'Your taxi is there' })] })).toBe('found')
    expect(find([created(1)], { others: [other(rival, 0, { body: null })] })).toBe('undecided')
  })

  test('that waits again because it was certainly not made is no rival', () => {
    expect(find([created(1)], { others: [other({ ...rival, status: 'pending' }, 0)] })).toBe('found')
  })

  test('that has received the only entry in the meantime leaves ours absent', () => {
    const settled = other(buildAttempt(0, 'queued', { sid: sidOf(77) }), 0)
    expect(find([created(1, { sid: sidOf(77) })], { others: [settled] })).toBe('absent')
  })
})

describe('a refusal that is listed as failed', () => {
  const refusal = (afterClaim: number): ListedMessage =>
    created(afterClaim, { status: 'failed', errorCode: 21611 })
  const refused = buildAttempt(0, 'failed', { sid: null, errorCode: 21611 })

  test('is a match if no refusal is known, because the answer was lost', () => {
    expect(find([refusal(1)])).toBe('found')
  })

  test.each<[string, Partial<Search>]>([
    ['an earlier attempt', { message: buildMessage('submitting', [refused, buildAttempt(1, 'submitting')]) }],
    ['another message', { others: [other(refused, 0)] }],
  ])('accounts for one known refusal of %s', (_what, where) => {
    expect(find([refusal(1)], where)).toBe('absent')
    expect(find([refusal(1), refusal(2)], where)).toBe('found')
    expect(find([refusal(1), created(2)], where)).toBe('found')
    expect(find([refusal(1), refusal(2), refusal(3)], where)).toBe('undecided')
  })

  test('does not account for a refusal with another code, text or time', () => {
    for (const stranger of [
      other({ ...refused, errorCode: 21614 }, 0),
      other(refused, 0, { body: 'Your taxi is there' }),
      other(refused, 30),
    ]) {
      expect(find([refusal(1)], { others: [stranger] })).toBe('found')
    }
  })

  test('is a match for each attempt in doubt if there are as many equal entries', () => {
    const rival = other(buildAttempt(0, 'submitting'), 0)
    const where = { others: [rival] }
    expect(search([refusal(1), refusal(2)], where)).toEqual({
      kind: 'found',
      report: { sid: null, status: 'failed', errorCode: 21611, errorText: null },
    })
    expect(find([refusal(1), refusal(2), refusal(3)], { others: [rival, { ...rival, id: 9 }] })).toBe('found')
    // The other one has recorded its refusal in the meantime.
    expect(find([refusal(1), refusal(2)], { others: [other(refused, 0)] })).toBe('found')
  })

  test.each([1, 5, 10, 40])('is a match for both of two attempts in doubt that are %i s apart', (gap) => {
    const listed = [refusal(0.5), refusal(gap + 0.5)]
    expect(search(listed, { others: [other(buildAttempt(0, 'submitting'), gap)] })).toMatchObject({
      kind: 'found',
      report: { sid: null, errorCode: 21611 },
    })
    // The other claim was `gap` seconds earlier and is resolved by now; its entry comes first.
    const earlier = [refusal(0.5 - gap), refusal(0.5)]
    expect(search(earlier.toReversed(), { others: [other(refused, -gap)] })).toMatchObject({
      kind: 'found',
      report: { sid: null, errorCode: 21611 },
    })
  })

  test('gives its sid only if it cannot belong to a known refusal', () => {
    const sid = sidOf(5)
    const mine = { ...refusal(1), sid }
    const none = { report: { sid: null } }
    expect(search([mine, refusal(0.5)], { others: [other(refused, 0)] })).toMatchObject(none)
    expect(search([mine, refusal(-49)], { others: [other(refused, -50)] })).toMatchObject({ report: { sid } })
    const accepted = created(1, { sid })
    expect(search([accepted, refusal(0.5)], { others: [other(refused, 0)] })).toMatchObject({
      report: { sid },
    })
  })

  test('is undecided beside another attempt in doubt if number, outcome, text or time differ', () => {
    const rival = other(buildAttempt(0, 'submitting'), 0)
    const where = { others: [rival] }
    const similar = { ...refusal(2), body: `Sent from your Twilio trial account - ${BODY}` }
    expect(find([refusal(1)], where)).toBe('undecided')
    expect(find([refusal(1), refusal(2), refusal(3)], where)).toBe('undecided')
    expect(find([refusal(1), created(2)], where)).toBe('undecided')
    expect(find([refusal(1), { ...refusal(2), errorCode: 21614 }], where)).toBe('undecided')
    expect(find([refusal(1), similar], where)).toBe('undecided')
    expect(find([similar, refusal(1)], where)).toBe('undecided')
    expect(find([refusal(1), refusal(2)], { others: [other(buildAttempt(0, 'submitting'), 30)] })).toBe(
      'undecided',
    )
    for (const status of ['delivered', 'undelivered', 'sent'] as const) {
      const accepted = [created(1, { status, sid: sidOf(1) }), created(2, { status, sid: sidOf(2) })]
      expect(find(accepted, where)).toBe('undecided')
    }
  })

  test('does not account for an entry that Twilio accepted', () => {
    for (const errorCode of [21611, null]) {
      expect(find([created(1)], { others: [other({ ...refused, errorCode }, 0)] })).toBe('found')
    }
  })
})

describe('the text in the list, compared with ours:', () => {
  test.each<[string, string, string, ReturnType<typeof compareTexts>]>([
    ['the same', BODY, BODY, 'same'],
    ['with spaces around it', BODY, ` ${BODY}\n`, 'same'],
    ['smart-encoded', '“Rosa’s” – 5…', '"Rosa\'s" - 5...', 'same'],
    ['with the prefix of a trial account', BODY, `Sent from your Twilio trial account - ${BODY}`, 'alike'],
    ['without accents', 'Olá, é às 5', 'Ola, e as 5', 'alike'],
    ['without modifier letters', 'Hawaiˀi at 5', 'Hawaii at 5', 'alike'],
    ['with a plain apostrophe for a modifier letter', 'Hawaiʻi, O’ahuʼs', "Hawai'i, O'ahu's", 'same'],
    ['empty', BODY, '', 'alike'],
    ['redacted by a word', BODY, '**REDACTED**', 'alike'],
    ['redacted by several words', BODY, '[Redacted by Twilio]', 'alike'],
    ['another text', BODY, 'Your taxi is there', 'other'],
    ['ours with more text after it', BODY, `${BODY} at 5`, 'other'],
    ['with another number in it', 'Your code is 1234', 'Your code is 1243', 'other'],
    ['the same, of symbols only', '👍', '👍', 'same'],
    [
      'of signs alone, with the words of a trial account',
      '👍',
      'Sent from your Twilio trial account - 👍',
      'alike',
    ],
    ['another, of symbols only', '👍', '🎉', 'other'],
    ['of words, while ours has symbols only', '👍', BODY, 'other'],
  ])('%s', (_what, ours, listed, expected) => {
    expect(compareTexts(ours, listed)).toBe(expected)
    const kinds = { same: 'found', alike: 'undecided', other: 'absent' }
    expect(find([created(1, { body: listed })], { message: { ...IN_DOUBT, body: ours } })).toBe(
      kinds[expected],
    )
  })
})
