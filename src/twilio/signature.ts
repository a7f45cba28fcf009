// Twilio's signature on a status callback. A module of its own, so that the web process need not load the
// whole twilio package (about 60 ms and 11 MB).
import webhooks from 'twilio/lib/webhooks/webhooks.js'

/**
 * True if one of the auth tokens signed this request. While a token is rotated, the old and the new one both
 * occur. The time is not signed: a replayed callback stays valid, and must do no harm.
 *
 * @param url the full URL that Twilio was told to call, query included
 * @param fields the form's fields; a field that came more than once is a list
 */
export function isSignedByTwilio(
  authTokens: readonly string[],
  signature: string | undefined,
  url: string,
  fields: Readonly<Record<string, string | string[]>>,
): boolean {
  if (signature === undefined || !URL.canParse(url)) return false
  return authTokens.some((token) => webhooks.validateRequest(token, signature, url, fields))
}

/** What Twilio would send as the signature of these fields to this URL. */
export function signAsTwilio(
  authToken: string,
  url: string,
  fields: Readonly<Record<string, string>>,
): string {
  return webhooks.getExpectedTwilioSignature(authToken, url, fields)
}
