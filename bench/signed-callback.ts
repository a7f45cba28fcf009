// One status callback as Twilio sends it, signed and ready to be written to a socket. The text of message n and the
// fate of its attempt follow from n, so that whoever checks the table knows what has to be in it.
import { createHash } from 'node:crypto'
import webhooks from 'twilio/lib/webhooks/webhooks.js'

export const ACCOUNT_SID = `AC${'0123456789abcdef'.repeat(2)}`
export const AUTH_TOKEN = 'fedcba9876543210fedcba9876543210'
/** What is signed; that nobody listens there does not matter, and so the same bytes fit any port. */
export const PUBLIC_BASE_URL = 'http://127.0.0.1:9'

/** One in ten fails, with a code that is retried. */
const UNDELIVERED_EVERY = 10

export function isUndelivered(id: number): boolean {
  return id % UNDELIVERED_EVERY === 0
}

/** The same as in database.ts. */
export function sidOf(id: number): string {
  return `SM${createHash('md5').update(`${id}`).digest('hex')}`
}

export interface Callback {
  readonly id: number
  readonly status: 'sent' | 'delivered' | 'undelivered'
}

/** The callback that ends the attempt of message n. */
export function lastCallbackOf(id: number): Callback {
  return { id, status: isUndelivered(id) ? 'undelivered' : 'delivered' }
}

/** The whole HTTP request, as Twilio's proxy writes it. */
export function signedRequest({ id, status }: Callback): Buffer {
  const target = `/twilio/status?message=${id}&attempt=0`
  const fields = fieldsOf(id, status)
  const signature = webhooks.getExpectedTwilioSignature(AUTH_TOKEN, PUBLIC_BASE_URL + target, fields)
  const body = new URLSearchParams(fields).toString()
  const head = [
    `POST ${target} HTTP/1.1`,
    'Host: 127.0.0.1',
    'Connection: keep-alive',
    'Content-Type: application/x-www-form-urlencoded; charset=UTF-8',
    `Content-Length: ${body.length}`,
    `X-Twilio-Signature: ${signature}`,
    'X-Home-Region: us1',
    `I-Twilio-Idempotency-Token: ${sidOf(id).slice(2)}`,
    'Accept: */*',
    'User-Agent: TwilioProxy/1.1',
  ]
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`)
}

function fieldsOf(id: number, status: Callback['status']): Record<string, string> {
  const sid = sidOf(id)
  return {
    AccountSid: ACCOUNT_SID,
    ApiVersion: '2010-04-01',
    From: '+12065550100',
    MessageSid: sid,
    MessageStatus: status,
    RawDlrDoneDate: '2511240638',
    SmsSid: sid,
    SmsStatus: status,
    To: `+1206${String(id).padStart(7, '0')}`,
    ...(status === 'undelivered'
      ? { ErrorCode: '30003', ErrorMessage: 'Unreachable destination handset' }
      : {}),
  }
}
