// Tests reading Twilio's message list, with real HTTP servers, correct and broken ones. delivery/find-attempt.test.ts tests the
// matching, and lookup-by-sid.test.ts the lookup by sid.
import { describe, expect, test } from '@jest/globals'
import { CLOSED_PORT } from '../support/closed-port.ts'
import { createTwilioClient } from '../../src/twilio/client.ts'
import type { ListAnswer } from '../../src/twilio/lookup.ts'
import { type Answering, answerWith, createdMessage, errorBody } from '../support/fake-twilio.ts'
import { ACCOUNT_SID, BROKEN, configOf, SUBMISSION, twilioThat } from './with-twilio.ts'

const SID = `SM${'5'.repeat(32)}`
const LIST_PATH = `/2010-04-01/Accounts/${ACCOUNT_SID}/Messages.json`
/** Not our time: ages depend on Twilio's clock only. */
const TWILIOS_NOW = Date.parse('2021-03-04T05:06:07Z')
const DATE = { Date: new Date(TWILIOS_NOW).toUTCString() }

type Page = Readonly<{ messages: unknown; next_page_uri?: unknown }>

/** An entry of the list for a message created `ageSeconds` ago. */
function entry(ageSeconds: number, changes: Readonly<Record<string, unknown>> = {}): object {
  const created = new Date(TWILIOS_NOW - ageSeconds * 1000).toUTCString().replace('GMT', '+0000')
  return { ...createdMessage(), body: SUBMISSION.body, date_created: created, ...changes }
}

/** Answers with the pages in turn, each linked to the next. */
function pages(...bodies: Page[]): Answering {
  return (response, { path }) => {
    const number = Number(new URL(path, 'http://twilio').searchParams.get('Page') ?? '0')
    const next = number + 1 < bodies.length ? `${LIST_PATH}?To=%2B12065550199&Page=${number + 1}` : null
    answerWith(
      200,
      { next_page_uri: next, ...bodies[number] },
      DATE,
    )(response, {
      path,
      authorization: '',
      fields: {},
    })
  }
}

async function listFrom(
  answer: Answering,
  maxAgeSeconds = 100,
  signal?: AbortSignal,
): Promise<{ listed: ListAnswer; paths: string[] }> {
  const fake = await twilioThat(answer)
  const client = createTwilioClient(configOf(fake.url), 'https://sms.example.com')
  const listed = await client.list(SUBMISSION.to, maxAgeSeconds, signal)
  return { listed, paths: fake.posts.map(({ path }) => path) }
}

/** The ages of the listed messages, followed by "incomplete" if messages are missing. */
function agesIn(listed: ListAnswer): (number | string)[] {
  if (listed.outcome === 'unavailable') return [listed.reason]
  const ages = listed.messages.map(({ ageSeconds }) => ageSeconds)
  return listed.isComplete ? ages : [...ages, 'incomplete']
}

describe('the message list', () => {
  test('is requested by number only, with a hundred entries per page', async () => {
    const { paths } = await listFrom(pages({ messages: [] }))
    expect(paths).toEqual([`${LIST_PATH}?To=%2B12065550199&PageSize=100`])
  })

  test('has the status of each message, and its age by Twilio’s clock', async () => {
    const words = { status: 'undelivered', error_code: 30003, error_message: 'Unreachable', sid: SID }
    const { listed } = await listFrom(pages({ messages: [entry(12, words)] }))
    expect(listed).toEqual({
      outcome: 'listed',
      isComplete: true,
      messages: [
        {
          sid: SID,
          status: 'undelivered',
          errorCode: 30003,
          errorText: 'Unreachable',
          billing: { segments: null, price: null },
          body: SUBMISSION.body,
          ageSeconds: 12,
        },
      ],
    })
  })

  test.each([
    ['a redacted text', { body: null }, { body: '' }],
    ['an unknown status', { status: 'partially_delivered' }, { status: 'accepted' }],
    ['an error code of zero', { error_code: 0 }, { errorCode: null }],
    ['an error code as text', { error_code: '30003' }, { errorCode: 30003 }],
  ])('reads %s', async (_what, changes, expected) => {
    const { listed } = await listFrom(pages({ messages: [entry(1, changes)] }))
    expect(listed).toMatchObject({ isComplete: true, messages: [expected] })
  })

  test('leaves out inbound entries, because a message to a number of the account is listed twice', async () => {
    const direction = { direction: 'inbound' }
    const { listed } = await listFrom(
      pages({
        messages: [
          entry(1, { direction: 'outbound-api' }),
          entry(2, direction),
          entry(3, { ...direction, date_created: null }),
          entry(4, { direction: 'outbound-reply' }),
          entry(5),
        ],
      }),
    )
    expect(agesIn(listed)).toEqual([1, 4, 5])
  })

  test('may be empty', async () => {
    expect((await listFrom(pages({ messages: [] }))).listed).toEqual({
      outcome: 'listed',
      isComplete: true,
      messages: [],
    })
  })
})

describe('the pages of the list', () => {
  test('are read to the last one', async () => {
    const { listed, paths } = await listFrom(
      pages({ messages: [entry(1), entry(2)] }, { messages: [entry(3)] }, { messages: [entry(4)] }),
    )
    expect(agesIn(listed)).toEqual([1, 2, 3, 4])
    expect(paths.slice(1)).toEqual([1, 2].map((page) => `${LIST_PATH}?To=%2B12065550199&Page=${page}`))
  })

  test('are read beyond an empty one', async () => {
    const { listed } = await listFrom(pages({ messages: [] }, { messages: [entry(3)] }))
    expect(agesIn(listed)).toEqual([3])
  })

  test('are not read beyond one with old entries only, and old entries are left out', async () => {
    const { listed, paths } = await listFrom(
      pages({ messages: [entry(1), entry(100)] }, { messages: [entry(102), entry(101)] }, { messages: [] }),
    )
    expect(agesIn(listed)).toEqual([1, 100])
    expect(paths).toHaveLength(2)
  })

  test.each([
    ['a message', entry(100)],
    ['an inbound message', entry(100, { direction: 'inbound' })],
    ['a message of unknown age', entry(100, { date_created: null, direction: 'inbound' })],
  ])('are read beyond one that ends with old entries, if %s in it is not old', async (_what, young) => {
    // The list is ordered by the date of sending, which a queued message does not have.
    const { listed, paths } = await listFrom(
      pages(
        { messages: [entry(500), young, entry(101)] },
        { messages: [entry(3)] },
        { messages: [entry(600)] },
        { messages: [entry(4)] },
      ),
    )
    expect(agesIn(listed)).toContain(3)
    expect(agesIn(listed)).not.toContain(4)
    expect(paths).toHaveLength(3)
  })

  test('are limited to twenty, and more make the list incomplete', async () => {
    const endless = Array.from({ length: 30 }, (_, page) => ({ messages: [entry(page)] }))
    const { listed, paths } = await listFrom(pages(...endless))
    expect(agesIn(listed)).toEqual([...Array.from({ length: 20 }, (_, page) => page), 'incomplete'])
    expect(paths).toHaveLength(20)
    const { listed: whole } = await listFrom(pages(...endless.slice(0, 20)))
    expect(agesIn(whole)).not.toContain('incomplete')
  })

  test('are not read on when the process stops, and the list is unavailable', async () => {
    const stopping = new AbortController()
    const { listed, paths } = await listFrom(
      (response, post) => {
        if (post.path.includes('Page=1')) stopping.abort()
        return pages({ messages: [entry(1)] }, { messages: [] }, { messages: [] })(response, post)
      },
      100,
      stopping.signal,
    )
    expect(listed).toEqual({ outcome: 'unavailable', reason: 'the process is stopping' })
    expect(paths).toHaveLength(2)
    const { paths: afterwards } = await listFrom(pages({ messages: [] }), 100, stopping.signal)
    expect(afterwards).toEqual([])
  })

  test('are not read on after the time limit, and the list is unavailable', async () => {
    const { listed, paths } = await listFrom(
      async (response, post) => {
        await new Promise((resolve) => setTimeout(resolve, 150))
        pages(...Array.from({ length: 20 }, () => ({ messages: [entry(1)] })))(response, post)
      },
      100,
      AbortSignal.timeout(400),
    )
    expect(listed).toEqual({ outcome: 'unavailable', reason: "Twilio's message list took too long" })
    expect(paths.length).toBeLessThanOrEqual(3)
  })

  test('make the list unavailable if one cannot be read', async () => {
    const { listed } = await listFrom((response, post) => {
      const answer = post.path.includes('Page=1')
        ? answerWith(500, '')
        : pages({ messages: [entry(1)] }, { messages: [] })
      answer(response, post)
    })
    expect(listed).toEqual({ outcome: 'unavailable', reason: 'HTTP 500' })
  })
})

describe('an invalid entry makes the list incomplete:', () => {
  test.each([
    ['not an object', 'SM'],
    ['null', null],
    ['without a sid', entry(2, { sid: undefined })],
    ['with another kind of sid', entry(2, { sid: `CA${'5'.repeat(32)}` })],
    ['without its date', entry(2, { date_created: null })],
    ['with an invalid date', entry(2, { date_created: 'yesterday' })],
  ])('%s', async (_what, odd) => {
    const { listed } = await listFrom(
      pages({ messages: [entry(1), odd, entry(3)] }, { messages: [entry(4)] }),
    )
    expect(agesIn(listed)).toEqual([1, 3, 4, 'incomplete'])
  })
})

describe('an invalid list is unavailable:', () => {
  test.each<readonly [string, Answering, string]>([
    ...BROKEN,
    ['404', answerWith(404, errorBody(404, 20404, 'Not found'), DATE), 'HTTP 404'],
    ['nothing', answerWith(200, '', DATE), "Twilio's message list cannot be read"],
    ['HTML', answerWith(200, '<h1>Hello</h1>', DATE), "Twilio's message list cannot be read"],
    ['JSON that is no object', answerWith(200, '3', DATE), "Twilio's message list cannot be read"],
    ['no messages', answerWith(200, {}, DATE), "Twilio's message list cannot be read"],
    [
      'messages that are no list',
      answerWith(200, { messages: {} }, DATE),
      "Twilio's message list cannot be read",
    ],
    [
      'no date',
      (response, post) => {
        response.sendDate = false
        answerWith(200, { messages: [entry(1)] })(response, post)
      },
      "Twilio's message list cannot be read",
    ],
    [
      'a date that is none',
      answerWith(200, { messages: [entry(1)] }, { Date: 'today' }),
      "Twilio's message list cannot be read",
    ],
  ])('%s', async (_what, answer, reason) => {
    expect((await listFrom(answer)).listed).toEqual({ outcome: 'unavailable', reason })
  })

  test('no connection', async () => {
    const client = createTwilioClient(configOf(`http://127.0.0.1:${CLOSED_PORT}`), 'https://sms.example.com')
    const reason = 'no connection (ECONNREFUSED)'
    expect(await client.list(SUBMISSION.to, 100)).toEqual({ outcome: 'unavailable', reason })
  })
})
