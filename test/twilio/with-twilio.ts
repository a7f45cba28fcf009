// A client and its server, which are closed after the test.
import { afterEach } from '@jest/globals'
import type { TwilioConfig } from '../../src/config/config.ts'
import type { Submission } from '../../src/delivery/decision.ts'
import {
  type Answering,
  answerWith,
  errorBody,
  type FakeTwilio,
  startFakeTwilio,
} from '../support/fake-twilio.ts'

export const ACCOUNT_SID = `AC${'1'.repeat(32)}`
export const AUTH_TOKEN = 'a'.repeat(32)

const closing: (() => Promise<unknown>)[] = []

/** Closes it after the test. */
export function closeLater(close: () => Promise<unknown>): void {
  closing.push(close)
}

afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()))
})

export async function twilioThat(answer: Answering): Promise<FakeTwilio> {
  const fake = await startFakeTwilio(answer)
  closing.push(() => fake.close())
  return fake
}

export function configOf(url: string, changes: Partial<TwilioConfig> = {}): TwilioConfig {
  return {
    accountSid: ACCOUNT_SID,
    authTokens: [AUTH_TOKEN],
    apiKey: null,
    fromNumber: '+12065550100',
    messagingServiceSid: null,
    apiBaseUrl: url,
    caBundle: null,
    concurrency: 50,
    ...changes,
  }
}

export const SUBMISSION: Submission = {
  messageId: 42,
  key: 'key-of-message42',
  attempt: 0,
  claimedAt: new Date('2026-07-01T12:00:00.000Z'),
  to: '+12065550199',
  body: 'Your order has shipped',
  validitySeconds: null,
}

const DATE = { Date: new Date('2021-03-04T05:06:07Z').toUTCString() }

/** Unusable answers to a lookup, and the resulting reason. */
export const BROKEN: readonly (readonly [string, Answering, string])[] = [
  ['500', answerWith(500, errorBody(500, 20500, 'Oops'), DATE), 'HTTP 500'],
  ['503 with HTML', answerWith(503, '<h1>Away</h1>', DATE), 'HTTP 503'],
  ['429', answerWith(429, errorBody(429, 20429, 'Too many'), DATE), 'HTTP 429'],
  ['401', answerWith(401, errorBody(401, 20003, 'Authenticate'), DATE), 'HTTP 401'],
  ['a redirect', answerWith(302, '', DATE), 'HTTP 302'],
  ['a connection that closes', (response) => response.destroy(), 'ECONNRESET'],
]
