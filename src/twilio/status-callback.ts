// The format of status callbacks: the URL that we give to Twilio, and the form that it posts there. Parsing is strict,
// because fields can be merged or split without changing the signature.
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
  /** The recipient in the form that Twilio uses; null if the field is missing. */
  readonly to: string | null
  /** The attempt that our query parameters name; null if the app chose the URL. */
  readonly origin: Origin | null
}

export interface Origin {
  readonly messageId: number
  readonly attempt: number
  /** Null for a message without a key, and in URLs of older versions. */
  readonly key: string | null
}

/** A valid callback with a status that this version does not know. It changes nothing. */
export interface UnknownStatus {
  readonly unknownStatus: string
  readonly accountSid: string
  readonly sid: string
}

/** An invalid callback. `unreadable` says why, for the log, and contains no value. */
export interface Unreadable {
  readonly unreadable: string
}

/**
 * A URL fragment with Twilio's connection overrides. Twilio reads the fragment, and neither sends nor signs it. It asks
 * for five retries after a 5xx or a time-out, within 15 seconds in all. By default, Twilio retries only if it cannot
 * connect.
 * Source: https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
 */
const CONNECTION_OVERRIDES = '#ct=2000&rt=5000&rc=5&rp=5xx,ct,rt'

/** The query is in alphabetical order, so a proxy that sorts it does not break the signature. */
export function statusCallbackUrl(publicBaseUrl: string, { messageId, attempt, key }: Origin): string {
  const keyParameter = key === null ? '' : `&key=${key}`
  const query = `attempt=${attempt}${keyParameter}&message=${messageId}`
  return `${publicBaseUrl}${STATUS_CALLBACK_PATH}?${query}${CONNECTION_OVERRIDES}`
}

type Fields = Readonly<Record<string, string | string[] | undefined>>

/** The fields that decide what a callback means. Twilio may add and change other fields. */
const READ_FIELDS = [
  'AccountSid',
  'MessageSid',
  'SmsSid',
  'MessageStatus',
  'SmsStatus',
  'ErrorCode',
  'ErrorMessage',
] as const

const FIELD_NAME = /^[A-Za-z]\w*$/

/** @param search the query of the URL as received, with or without the question mark */
export function parseStatusCallback(
  search: string,
  fields: Fields,
): StatusCallback | UnknownStatus | Unreadable {
  let signed = ''
  for (const name of Object.keys(fields).sort()) {
    const value = fields[name]
    if (typeof value !== 'string') return { unreadable: 'a field occurs more than once' }
    if (value.includes('\0')) return { unreadable: 'a field has a NUL byte' }
    if (!FIELD_NAME.test(name)) return { unreadable: 'a field has an invalid name' }
    signed += name + value
  }
  if (hasHiddenField(fields, signed))
    return { unreadable: 'a field is missing, and its name occurs inside another field' }
  // The loop above has checked that every field is a text.
  const texts = fields as Readonly<Record<string, string | undefined>>
  const text = (name: (typeof READ_FIELDS)[number]): string => texts[name] ?? ''
  const origin = parseOrigin(search)
  if (origin === 'unreadable') return { unreadable: 'attempt, key or message in the URL is not valid' }
  const accountSid = text('AccountSid')
  if (!/^AC[0-9a-fA-F]{32}$/.test(accountSid)) return { unreadable: 'AccountSid is not a sid' }
  const sid = text('MessageSid')
  if (!SID.test(sid)) return { unreadable: 'MessageSid is not a sid' }
  const status = text('MessageStatus')
  if (!isTwilioStatus(status) && !isNewStatus(status))
    return { unreadable: 'MessageStatus is not a status of an outbound message' }
  if ((texts['SmsStatus'] ?? status) !== status) return { unreadable: 'MessageStatus and SmsStatus differ' }
  const errorCode = text('ErrorCode')
  if (!/^\d{0,6}$/.test(errorCode)) return { unreadable: 'ErrorCode is not a number' }
  if (!isTwilioStatus(status)) return { unknownStatus: status, accountSid, sid }
  return {
    accountSid,
    sid,
    status,
    // Twilio may send 0 if there is no error.
    errorCode: Number(errorCode) || null,
    errorText: cleanText(text('ErrorMessage')),
    to: texts['To'] ?? null,
    origin,
  }
}

/**
 * Twilio signs names and values, ordered by name, without separators. So a signature is also valid for fields that are
 * split at other places: `ApiVersion=2010-04-01ErrorCode30007` and `ErrorCode3=0007` both hide the error code. A field
 * is hidden if it is missing but its name occurs in the signed text.
 */
function hasHiddenField(fields: Fields, signed: string): boolean {
  // ErrorMessage is not checked: no decision depends on it, and Twilio may add a field whose name ends with it.
  return READ_FIELDS.some(
    (name) => name !== 'ErrorMessage' && fields[name] === undefined && signed.includes(name),
  )
}

/**
 * The message that a refused request names, with the key that only Twilio and we know. Null without one.
 *
 * @param search the query of the URL as received
 */
export function parseKeyedMessage(
  search: string,
): { readonly messageId: number; readonly key: string } | null {
  const origin = parseOrigin(search)
  if (origin === null || origin === 'unreadable' || origin.key === null) return null
  return { messageId: origin.messageId, key: origin.key }
}

/**
 * Uses the same parser as the signature check of the twilio package, so that only signed parameters are read. That
 * parser ignores everything after 1,000 pairs.
 */
function parseOrigin(search: string): StatusCallback['origin'] | 'unreadable' {
  const { message, attempt, key } = parseQuery(search.replace(/^\?/, ''))
  if (message === undefined && attempt === undefined) return null
  // A repeated parameter is an array.
  const messageId = typeof message === 'string' ? parseMessageId(message) : null
  if (messageId === null) return 'unreadable'
  if (typeof attempt !== 'string' || !/^\d{1,3}$/.test(attempt)) return 'unreadable'
  if (key !== undefined && (typeof key !== 'string' || !MESSAGE_KEY.test(key))) return 'unreadable'
  return { messageId, attempt: Number(attempt), key: key ?? null }
}
