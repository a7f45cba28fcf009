// The wire format of status callbacks: the URL that we ask Twilio to call, and what it posts there.
// Parsed strictly, because fields can be merged or split under one valid signature.
import { parse as parseQuery } from 'node:querystring'
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

/**
 * Twilio's connection overrides, which it neither sends nor signs: five more tries after a 5xx or a time-out, within
 * the 15 seconds that it grants in all. Without them it tries again only if it cannot connect.
 * Source: https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
 */
const REDELIVERY = '#ct=2000&rt=5000&rc=5&rp=5xx,ct,rt'

export function statusCallbackUrl(publicBaseUrl: string, messageId: number, attempt: number): string {
  return `${publicBaseUrl}${STATUS_CALLBACK_PATH}?message=${messageId}&attempt=${attempt}${REDELIVERY}`
}

type Fields = Readonly<Record<string, string | string[] | undefined>>

/** The fields that are read. All others are Twilio's to add and change. */
const READ = [
  'AccountSid',
  'MessageSid',
  'SmsSid',
  'MessageStatus',
  'SmsStatus',
  'ErrorCode',
  'ErrorMessage',
] as const

const FIELD_NAME = /^[A-Za-z]\w*$/

/** @param search the URL's query, as it came, with or without the question mark */
export function parseStatusCallback(search: string, fields: Fields): StatusCallback | Unreadable {
  let signed = ''
  for (const name of Object.keys(fields).sort()) {
    const value = fields[name]
    if (typeof value !== 'string') return { unreadable: 'a field came more than once' }
    if (value.includes('\0')) return { unreadable: 'a field has a NUL byte' }
    if (!FIELD_NAME.test(name)) return { unreadable: 'a field has an odd name' }
    signed += name + value
  }
  if (isCutElsewhere(fields, signed)) return { unreadable: 'a field is hidden in another' }
  // No field has anything else any more.
  const texts = fields as Readonly<Record<string, string | undefined>>
  const text = (name: (typeof READ)[number]): string => texts[name] ?? ''
  const origin = parseOrigin(search)
  if (origin === 'unreadable')
    return { unreadable: 'message and attempt in the URL are not two whole numbers' }
  const accountSid = text('AccountSid')
  if (!/^AC[0-9a-fA-F]{32}$/.test(accountSid)) return { unreadable: 'AccountSid is not a sid' }
  const sid = text('MessageSid')
  if (!SID.test(sid)) return { unreadable: 'MessageSid is not a sid' }
  const status = text('MessageStatus')
  if (!isTwilioStatus(status)) return { unreadable: 'MessageStatus is not a status of an outbound message' }
  if ((texts['SmsStatus'] ?? status) !== status) return { unreadable: 'the two statuses differ' }
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

/**
 * Twilio signs names and values in the order of the names, with nothing between them. So one signature also fits
 * fields that were cut elsewhere: `ApiVersion=2010-04-01ErrorCode30007` hides the error code, `ErrorCode3=0007` as
 * well. A field that is missing, but whose name occurs in what was signed, was hidden so.
 */
function isCutElsewhere(fields: Fields, signed: string): boolean {
  // Not ErrorMessage: nothing depends on it, and Twilio may well add a name that ends so.
  return READ.some((name) => name !== 'ErrorMessage' && fields[name] === undefined && signed.includes(name))
}

/**
 * Read by the module by which the twilio package respells a query when it checks a signature (it leaves out all after
 * 1,000 pairs): what that does not see, nobody has signed.
 */
function parseOrigin(search: string): StatusCallback['origin'] | 'unreadable' {
  const { message, attempt } = parseQuery(search.replace(/^\?/, ''))
  if (message === undefined && attempt === undefined) return null
  // One that came twice is a list.
  if (typeof message !== 'string' || !/^[1-9]\d{0,14}$/.test(message)) return 'unreadable'
  if (typeof attempt !== 'string' || !/^\d{1,3}$/.test(attempt)) return 'unreadable'
  return { messageId: Number(message), attempt: Number(attempt) }
}
