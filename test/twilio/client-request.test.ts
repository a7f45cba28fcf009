// Tests the requests of the Twilio client: URL, credentials and every field.
import { expect, test } from '@jest/globals'
import type { TwilioConfig } from '../../src/config/config.ts'
import type { Submission } from '../../src/delivery/decision.ts'
import { createTwilioClient } from '../../src/twilio/client.ts'
import { statusCallbackUrl } from '../../src/twilio/status-callback.ts'
import { accept, type ReceivedPost } from '../support/fake-twilio.ts'
import { ACCOUNT_SID, AUTH_TOKEN, configOf, SUBMISSION, twilioThat } from './with-twilio.ts'

async function postOf(config: Partial<TwilioConfig>, submission: Partial<Submission>): Promise<ReceivedPost> {
  const fake = await twilioThat(accept)
  const client = createTwilioClient(configOf(fake.url, config), 'https://sms.example.com/base')
  await client.submit({ ...SUBMISSION, ...submission })
  const [post] = fake.posts
  if (post === undefined) throw new Error('nothing was posted')
  return post
}

test('a first attempt has exactly these fields, with message and attempt in the callback URL', async () => {
  const { fields, path } = await postOf({}, {})
  expect(path).toBe(`/2010-04-01/Accounts/${ACCOUNT_SID}/Messages.json`)
  expect(fields).toEqual({
    To: '+12065550199',
    From: '+12065550100',
    Body: 'Your order has shipped',
    StatusCallback: statusCallbackUrl('https://sms.example.com/base', SUBMISSION),
    Attempt: '1',
  })
})

test('a retry sends its number, which Twilio counts from 1', async () => {
  const { fields } = await postOf({}, { attempt: 2 })
  expect(fields).toMatchObject({ Attempt: '3', StatusCallback: expect.stringContaining('?attempt=2&') })
})

test.each([
  [90, '90'],
  [36_000, '36000'],
  [100_000, '36000'],
])('%i seconds until the deadline give the ValidityPeriod %s', async (validitySeconds, period) => {
  const { fields } = await postOf({}, { validitySeconds })
  expect(fields['ValidityPeriod']).toBe(period)
})

test.each([
  ['alone', null, undefined],
  ['with one of its numbers', '+12065550100', '+12065550100'],
])('a Messaging Service is used %s', async (_what, fromNumber, from) => {
  const messagingServiceSid = `MG${'2'.repeat(32)}`
  const { fields } = await postOf({ fromNumber, messagingServiceSid }, {})
  expect([fields['MessagingServiceSid'], fields['From']]).toEqual([messagingServiceSid, from])
})

test('texts of every kind are sent unchanged', async () => {
  const body = '50 % & more = 1+1?\n“€” 👩‍👩‍👧 ünï %20'
  const { fields } = await postOf({}, { body })
  expect(fields['Body']).toBe(body)
})

test.each([
  ['the first auth token', {}, `${ACCOUNT_SID}:${AUTH_TOKEN}`],
  ['the first of two', { authTokens: [AUTH_TOKEN, 'b'.repeat(32)] }, `${ACCOUNT_SID}:${AUTH_TOKEN}`],
  ['an API key', { apiKey: { sid: `SK${'3'.repeat(32)}`, secret: 's' } }, `SK${'3'.repeat(32)}:s`],
  [
    'an API key without a token',
    { apiKey: { sid: `SK${'3'.repeat(32)}`, secret: 's' }, authTokens: [] },
    `SK${'3'.repeat(32)}:s`,
  ],
])('requests are authenticated with %s, for the account', async (_what, config, credentials) => {
  const { authorization, path } = await postOf(config, {})
  expect(authorization).toBe(`Basic ${Buffer.from(credentials).toString('base64')}`)
  expect(path).toContain(`/Accounts/${ACCOUNT_SID}/`)
})

test('the base URL may end with a slash', async () => {
  const fake = await twilioThat(accept)
  const client = createTwilioClient(configOf(`${fake.url}/`), 'https://sms.example.com')
  expect((await client.submit(SUBMISSION)).answer.outcome).toBe('accepted')
  expect(fake.posts.map(({ path }) => path)).toEqual([`/2010-04-01/Accounts/${ACCOUNT_SID}/Messages.json`])
})
