// A client and the server that it talks to, ended after the test.
import { afterEach } from '@jest/globals'
import type { TwilioConfig } from '../../src/config.ts'
import type { Submission } from '../../src/delivery/decision.ts'
import { type Answering, type FakeTwilio, startFakeTwilio } from '../support/fake-twilio.ts'

export const ACCOUNT_SID = `AC${'1'.repeat(32)}`
export const AUTH_TOKEN = 'a'.repeat(32)

const closing: (() => Promise<unknown>)[] = []

/** Ends it after the test. */
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
    ...changes,
  }
}

export const SUBMISSION: Submission = {
  messageId: 42,
  attempt: 0,
  to: '+12065550199',
  body: 'Your order has shipped',
  validitySeconds: null,
}
