// Twilio's signature on a status callback. A module of its own, so that the web process need not load the
// whole twilio package (about 60 ms and 11 MB).
import { timingSafeEqual } from 'node:crypto'
import webhooks from 'twilio/lib/webhooks/webhooks.js'

type Fields = Readonly<Record<string, string | string[]>>

/** Of 20 bytes, in Base64. What looks different is worth no look. */
const SIGNATURE = /^[A-Za-z0-9+/]{27}=$/

/**
 * True if one of the auth tokens signed this request. While a token is rotated, the old and the new one both
 * occur. The time is not signed: a replayed callback stays valid, and must do no harm.
 *
 * Knows the URLs that we make, with and without their port, which Twilio is known to leave out and to add.
 *
 * @param url the full URL that Twilio was told to call, query included
 * @param fields the form's fields; a field that came more than once is a list
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
 * The same also for URLs that somebody else made, which Twilio may have signed with their escapes written otherwise:
 * three times the work for a request that nobody has signed.
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

/** Scheme, user and host; the port; the rest. */
const PARTS = /^(https?:\/\/(?:[^/?#@]*@)?(?:\[[^\]/?#]*\]|[^:/?#]*))(:\d*)?(.*)$/is

function spellingsOf(url: string): string[] {
  const [, host, port, rest = ''] = PARTS.exec(url) ?? []
  if (host === undefined) return [url]
  const impliedPort = /^https/i.test(host) ? ':443' : ':80'
  // As it was configured comes first, since it will be that one.
  return port === undefined ? [url, host + impliedPort + rest] : [url, host + rest]
}

/** What Twilio would send as the signature of these fields to this URL. */
export function signAsTwilio(
  authToken: string,
  url: string,
  fields: Readonly<Record<string, string>>,
): string {
  return webhooks.getExpectedTwilioSignature(authToken, url, fields)
}
