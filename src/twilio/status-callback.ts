// The wire format of status callbacks: the URL that we ask Twilio to call, and what it posts there.
// Parsed strictly, because fields can be merged or split under one valid signature.
import { parse as parseQuery } from 'node:querystring'
import { MESSAGE_KEY, parseMessageId } from '../delivery/message-proof.ts'
import { isNewStatus, isTwilioStatus, type TwilioStatus } from '../delivery/status.ts'
import { cleanText, SID } from './parse-body.ts'

export const STATUS_CALLBACK_PATH = '/twilio/status'

export interface StatusCallback {
  readonly accountSid: string
  readonly sid: string
  readonly status: TwilioStatus
  readonly errorCode: number | null
  readonly errorText: string | null
  /** The recipient, in the form that Twilio keeps it; null if the field is missing. */
  readonly to: string | null
  /** From our own query parameters; null for a URL that somebody else chose. */
  readonly origin: Origin | null
}

export interface Origin {
  readonly messageId: number
  readonly attempt: number
  /** Null for a message without a key, and in URLs of older versions. */
  readonly key: string | null
}

/** The callback can be read, but its status is not one that we know: it changes nothing. */
export interface UnknownStatus {
  readonly unknownStatus: string
  readonly accountSid: string
  readonly sid: string
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

/** In alphabetical order: a proxy that sorts the query must not change what Twilio signed. */
export function statusCallbackUrl(publicBaseUrl: string, { messageId, attempt, key }: Origin): string {
  const keyParameter = key === null ? '' : `&key=${key}`
  const query = `attempt=${attempt}${keyParameter}&message=${messageId}`
  return `${publicBaseUrl}${STATUS_CALLBACK_PATH}?${query}${REDELIVERY}`
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
export function parseStatusCallback(
  search: string,
  fields: Fields,
): StatusCallback | UnknownStatus | Unreadable {
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
  if (origin === 'unreadable') return { unreadable: 'attempt, key or message in the URL is not one of ours' }
  const accountSid = text('AccountSid')
  if (!/^AC[0-9a-fA-F]{32}$/.test(accountSid)) return { unreadable: 'AccountSid is not a sid' }
  const sid = text('MessageSid')
  if (!SID.test(sid)) return { unreadable: 'MessageSid is not a sid' }
  const status = text('MessageStatus')
  if (!isTwilioStatus(status) && !isNewStatus(status))
    return { unreadable: 'MessageStatus is not a status of an outbound message' }
  if ((texts['SmsStatus'] ?? status) !== status) return { unreadable: 'the two statuses differ' }
  const errorCode = text('ErrorCode')
  if (!/^\d{0,6}$/.test(errorCode)) return { unreadable: 'ErrorCode is not a number' }
  if (!isTwilioStatus(status)) return { unknownStatus: status, accountSid, sid }
  return {
    accountSid,
    sid,
    status,
    // Twilio is known to send 0 where there is no error.
    errorCode: Number(errorCode) || null,
    errorText: cleanText(text('ErrorMessage')),
    to: texts['To'] ?? null,
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
  const { message, attempt, key } = parseQuery(search.replace(/^\?/, ''))
  if (message === undefined && attempt === undefined) return null
  // One that came twice is a list.
  const messageId = typeof message === 'string' ? parseMessageId(message) : null
  if (messageId === null) return 'unreadable'
  if (typeof attempt !== 'string' || !/^\d{1,3}$/.test(attempt)) return 'unreadable'
  if (key !== undefined && (typeof key !== 'string' || !MESSAGE_KEY.test(key))) return 'unreadable'
  return { messageId, attempt: Number(attempt), key: key ?? null }
}
