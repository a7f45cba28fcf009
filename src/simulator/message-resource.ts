// The Message resource as Twilio's API shows it: its fields, their first values, and how a status changes them.
// message-lifecycle.ts decides when a status changes; message-store.ts keeps the resources.
import { countSegments } from './count-segments.ts'
import type { Submission } from './read-submission.ts'
import { describeError } from './twilio-errors.ts'

export type MessageStatus =
  | 'accepted'
  | 'queued'
  | 'sent'
  | 'partially_delivered'
  | 'delivered'
  | 'undelivered'
  | 'failed'

export interface MessageResource {
  account_sid: string
  api_version: string
  body: string
  date_created: string
  date_sent: string | null
  date_updated: string
  direction: 'outbound-api'
  error_code: number | null
  error_message: string | null
  from: string | null
  messaging_service_sid: string | null
  num_media: string
  num_segments: string
  price: string | null
  price_unit: string | null
  sid: string
  status: MessageStatus
  subresource_uris: { media: string }
  to: string
  uri: string
}

export const API_VERSION = '2010-04-01'

/** The sender that a Messaging Service selects. Twilio documents this number as a valid sender for tests. */
export const SERVICE_SENDER = '+15005550006'

export function createResource(
  submission: Submission,
  { sid, accountSid, nowMs }: { sid: string; accountSid: string; nowMs: number },
): MessageResource {
  const byService = submission.messagingServiceSid !== null
  const path = `/${API_VERSION}/Accounts/${accountSid}/Messages/${sid}`
  return {
    account_sid: accountSid,
    api_version: API_VERSION,
    body: submission.body,
    date_created: formatRfc2822(nowMs),
    date_sent: null,
    date_updated: formatRfc2822(nowMs),
    direction: 'outbound-api',
    error_code: null,
    error_message: null,
    from: submission.from,
    messaging_service_sid: submission.messagingServiceSid,
    num_media: '0',
    // Before a Messaging Service has selected a sender, Twilio answers 0 segments and no currency.
    num_segments: byService ? '0' : String(countSegments(submission.body)),
    price: null,
    price_unit: byService ? null : 'USD',
    sid,
    status: byService ? 'accepted' : 'queued',
    subresource_uris: { media: `${path}/Media.json` },
    to: submission.to,
    uri: `${path}.json`,
  }
}

/** USD, of a text to the United States in 2026, without the carrier's fee. */
export const PRICE_PER_SEGMENT = 0.0083

export function changeStatus(
  resource: MessageResource,
  { status, errorCode, nowMs }: { status: MessageStatus; errorCode: number | null; nowMs: number },
): void {
  resource.status = status
  resource.error_code = errorCode
  resource.error_message = errorCode === null ? null : describeError(errorCode)
  resource.date_updated = formatRfc2822(nowMs)
  if (status === 'sent') resource.date_sent = formatRfc2822(nowMs)
  if (resource.messaging_service_sid !== null) {
    resource.from ??= SERVICE_SENDER
    resource.num_segments = String(countSegments(resource.body))
    resource.price_unit = 'USD'
  }
  // A message that failed before it was sent is not billed by the segment.
  if (status !== 'failed' && resource.date_sent !== null)
    resource.price = (-PRICE_PER_SEGMENT * Number(resource.num_segments)).toFixed(5)
}

/** The format of all times in the API. */
export function formatRfc2822(timeMs: number): string {
  return new Date(timeMs).toUTCString().replace('GMT', '+0000')
}
