// The wire format of status callbacks: the URL that we ask Twilio to call, and what it posts there.
// Parsed strictly, because fields can be merged or split under one valid signature.
import { isTwilioStatus, type TwilioStatus } from '../delivery/status.ts'
import { cleanText, SID } from './wire.ts'

export const STATUS_CALLBACK_PATH = '/twilio/status'

export interface StatusCallback {
  readonly accountSid: string
  readonly sid: string
  readonly status: TwilioStatus
  readonly errorCode: number | null
  readonly errorText: string | null
  /** From our own query parameters; null for a URL that somebody else chose. */
  readonly origin: { readonly messageId: number; readonly attempt: number } | null
}

/** The callback says something that we cannot read; `why` is for the log and names no value. */
export interface Unreadable {
  readonly unreadable: string
}

export function statusCallbackUrl(publicBaseUrl: string, messageId: number, attempt: number): string {
  return `${publicBaseUrl}${STATUS_CALLBACK_PATH}?message=${messageId}&attempt=${attempt}`
}

type Fields = Readonly<Record<string, string | string[] | undefined>>

/** @param search the URL's query, as it came, with or without the question mark */
export function parseStatusCallback(search: string, fields: Fields): StatusCallback | Unreadable {
  for (const value of Object.values(fields)) {
    if (typeof value !== 'string') return { unreadable: 'a field came more than once' }
    if (value.includes('\0')) return { unreadable: 'a field has a NUL byte' }
  }
  const text = (name: string): string => {
    const value = Object.hasOwn(fields, name) ? fields[name] : undefined
    return typeof value === 'string' ? value : ''
  }
  const origin = parseOrigin(new URLSearchParams(search))
  if (origin === 'unreadable')
    return { unreadable: 'the query parameters message and attempt are not two whole numbers' }
  const accountSid = text('AccountSid')
  if (accountSid === '') return { unreadable: 'AccountSid is missing' }
  const sid = text('MessageSid') || text('SmsSid')
  if (!SID.test(sid)) return { unreadable: 'MessageSid is not a sid' }
  const status = text('MessageStatus') || text('SmsStatus')
  if (!isTwilioStatus(status)) return { unreadable: 'MessageStatus is not a status of an outbound message' }
  const errorCode = text('ErrorCode')
  if (!/^\d{0,6}$/.test(errorCode)) return { unreadable: 'ErrorCode is not a number' }
  return {
    accountSid,
    sid,
    status,
    // Twilio is known to send 0 where there is no error.
    errorCode: Number(errorCode) || null,
    errorText: cleanText(text('ErrorMessage')),
    origin,
  }
}

function parseOrigin(query: URLSearchParams): StatusCallback['origin'] | 'unreadable' {
  const messages = query.getAll('message')
  const attempts = query.getAll('attempt')
  if (messages.length === 0 && attempts.length === 0) return null
  const [message = ''] = messages
  const [attempt = ''] = attempts
  const isPair = messages.length === 1 && attempts.length === 1
  if (!isPair || !/^[1-9]\d{0,14}$/.test(message) || !/^\d{1,3}$/.test(attempt)) return 'unreadable'
  return { messageId: Number(message), attempt: Number(attempt) }
}
