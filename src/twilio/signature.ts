// Twilio's signature on a status callback. Imports one module of the twilio package: the whole package costs about 60 ms and
// 11 MB, which the web process does not need.
import { timingSafeEqual } from 'node:crypto'
import webhooks from 'twilio/lib/webhooks/webhooks.js'

type Fields = Readonly<Record<string, string | string[]>>

/** 20 bytes in Base64. Anything else is rejected without computing a signature. */
const SIGNATURE = /^[A-Za-z0-9+/]{27}=$/

/**
 * True if one of the auth tokens signed this request. While a token is rotated, both the old and the new one are in use. The
 * signature covers no time: a replayed callback stays valid, and must do no harm.
 *
 * Accepts our URLs with and without the port, because Twilio sometimes adds or drops it.
 *
 * @param url the full URL that Twilio was given, including the query
 * @param fields the fields of the form; a repeated field is an array
 */
export function isSignedByTwilio(
  authTokens: readonly string[],
  signature: string | undefined,
  url: string,
  fields: Fields,
): boolean {
  if (signature === undefined || !SIGNATURE.test(signature)) return false
  const given = Buffer.from(signature)
  return spellingsOf(url).some((spelling) =>
    authTokens.some((token) =>
      timingSafeEqual(given, Buffer.from(webhooks.getExpectedTwilioSignature(token, spelling, fields))),
    ),
  )
}

/**
 * Like isSignedByTwilio, but also for URLs that the app made: Twilio may have signed them with other escapes. This costs
 * three times as much for a request without a valid signature.
 */
export function isSignedInAnySpelling(
  authTokens: readonly string[],
  signature: string | undefined,
  url: string,
  fields: Fields,
): boolean {
  if (signature === undefined || !SIGNATURE.test(signature) || !URL.canParse(url)) return false
  return authTokens.some((token) => webhooks.validateRequest(token, signature, url, fields))
}

/** Groups: scheme, user and host; the port; the rest. */
const PARTS = /^(https?:\/\/(?:[^/?#@]*@)?(?:\[[^\]/?#]*\]|[^:/?#]*))(:\d*)?(.*)$/is

function spellingsOf(url: string): string[] {
  const [, host, port, rest = ''] = PARTS.exec(url) ?? []
  if (host === undefined) return [url]
  const impliedPort = /^https/i.test(host) ? ':443' : ':80'
  // The configured form comes first, because it is the usual one.
  return port === undefined ? [url, host + impliedPort + rest] : [url, host + rest]
}

/** The signature that Twilio sends for these fields and this URL. */
export function signAsTwilio(
  authToken: string,
  url: string,
  fields: Readonly<Record<string, string>>,
): string {
  return webhooks.getExpectedTwilioSignature(authToken, url, fields)
}
