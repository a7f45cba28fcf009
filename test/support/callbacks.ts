// Status callbacks as Twilio sends them, signed as Twilio signs them, for tests that play Twilio themselves.
import { randomBytes } from 'node:crypto'
import webhooks from 'twilio/lib/webhooks/webhooks.js'

export interface CallbackFields {
  readonly [field: string]: string
}

/** A sid that nobody else has. */
export function newSid(): string {
  return `SM${randomBytes(16).toString('hex')}`
}

export function callbackFields(
  accountSid: string,
  sid: string,
  status: string,
  extra: Record<string, string> = {},
): CallbackFields {
  return {
    AccountSid: accountSid,
    MessageSid: sid,
    SmsSid: sid,
    MessageStatus: status,
    SmsStatus: status,
    From: '+12065550100',
    To: '+12065550199',
    ApiVersion: '2010-04-01',
    ...extra,
  }
}

/** Posts the form with Twilio's signature for exactly these fields and this URL. */
export function postSigned(authToken: string, url: string, fields: CallbackFields): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/x-www-form-urlencoded; charset=UTF-8',
      'X-Twilio-Signature': webhooks.getExpectedTwilioSignature(authToken, url, fields),
      'User-Agent': 'TwilioProxy/1.1',
    },
    body: new URLSearchParams(fields).toString(),
  })
}
