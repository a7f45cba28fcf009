// Tests the lookup of a message by its sid, with real HTTP servers, correct and broken ones.
import { describe, expect, test } from '@jest/globals'
import { CLOSED_PORT } from '../support/closed-port.ts'
import { createTwilioClient } from '../../src/twilio/client.ts'
import type { FetchAnswer } from '../../src/twilio/lookup.ts'
import { newSid } from '../support/callbacks.ts'
import { type Answering, answerWith, createdMessage, errorBody } from '../support/fake-twilio.ts'
import { ACCOUNT_SID, BROKEN, configOf, twilioThat } from './with-twilio.ts'

const SID = `SM${'5'.repeat(32)}`

describe('a message looked up by its sid', () => {
  async function fetchFrom(answer: Answering): Promise<FetchAnswer> {
    const fake = await twilioThat(answer)
    const client = createTwilioClient(configOf(fake.url), 'https://sms.example.com')
    const fetched = await client.fetch(SID)
    expect(fake.posts.map(({ path }) => path)).toEqual([
      `/2010-04-01/Accounts/${ACCOUNT_SID}/Messages/${SID}.json`,
    ])
    return fetched
  }

  test('is found, with its status, error and price', async () => {
    const failure = { status: 'failed', error_code: 30001, error_message: 'Full' }
    const bill = { num_segments: '2', price: '-0.01660', price_unit: 'usd' }
    const resource = createdMessage({ sid: SID, ...failure, ...bill })
    expect(await fetchFrom(answerWith(200, resource))).toEqual({
      outcome: 'found',
      message: {
        sid: SID,
        status: 'failed',
        errorCode: 30001,
        errorText: 'Full',
        billing: { segments: 2, price: { amount: 0.0166, unit: 'USD' } },
      },
    })
  })

  test('is missing if Twilio does not have it', async () => {
    expect(await fetchFrom(answerWith(404, errorBody(404, 20404, 'Not found')))).toEqual({
      outcome: 'missing',
    })
  })

  test.each<readonly [string, Answering, string]>([
    ...BROKEN,
    ['another message', answerWith(200, createdMessage({ sid: newSid() })), 'the answer cannot be read'],
    ['no sid', answerWith(200, {}), 'the answer cannot be read'],
    ['nothing', answerWith(200, ''), 'the answer cannot be read'],
    ['HTML', answerWith(200, '<h1>Hello</h1>'), 'the answer cannot be read'],
  ])('is unavailable if Twilio answers with %s', async (_what, answer, reason) => {
    expect(await fetchFrom(answer)).toEqual({ outcome: 'unavailable', reason })
  })

  test.each([
    ['a 404 page of a proxy', '<h1>Not found</h1>'],
    ["a 404 in JSON that is not Twilio's", { code: 404, message: 'no such route', status: 404 }],
  ])('is not missing because of %s', async (_what, body) => {
    expect(await fetchFrom(answerWith(404, body))).toEqual({ outcome: 'unavailable', reason: 'HTTP 404' })
  })

  test('is unavailable without a connection', async () => {
    const client = createTwilioClient(configOf(`http://127.0.0.1:${CLOSED_PORT}`), 'https://sms.example.com')
    const reason = 'no connection (ECONNREFUSED)'
    expect(await client.fetch(SID)).toEqual({ outcome: 'unavailable', reason })
  })
})
