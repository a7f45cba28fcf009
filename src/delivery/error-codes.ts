// One table: Twilio's error code -> what it means in plain words, and whether trying again can help.
// This is the place to change the number of retries or the delay of a code; adding a code is one line.
// The delays between retries follow from the base delay in retry-policy.ts.
//
// Source of each meaning: https://www.twilio.com/docs/api/errors/<code>. Whether to retry is our judgement,
// save where the text says that Twilio asks for it.

/** Try again, at most `retries` times; `baseDelaySeconds` before the first retry, doubled for each further one. */
export interface RetryRule {
  readonly action: 'retry'
  readonly retries: number
  readonly baseDelaySeconds: number
}

/** Never try again: the same request would fail the same way, or do harm. */
export interface StopRule {
  readonly action: 'stop'
}

export type Rule = RetryRule | StopRule

export interface ErrorCode {
  /** What went wrong, for a person who does not know Twilio. */
  readonly reason: string
  readonly rule: Rule
}

const minutes = (n: number): number => n * 60
const hours = (n: number): number => n * 3600

function retry(retries: number, baseDelaySeconds: number, reason: string): ErrorCode {
  return { reason, rule: { action: 'retry', retries, baseDelaySeconds } }
}

function stop(reason: string): ErrorCode {
  return { reason, rule: { action: 'stop' } }
}

/** The rule of a code that the table does not name. Twilio asks that new codes be expected. */
export const UNKNOWN_CODE: ErrorCode = retry(2, 120, 'An error that this version does not know by name')

export const ERROR_CODES: Readonly<Record<number, ErrorCode>> = {
  // The account
  10001: retry(3, 120, 'The Twilio account is not active'),
  20003: retry(3, 300, 'Twilio did not accept the credentials: wrong or rotated token, or a closed account'),
  20005: retry(3, 120, 'The Twilio account is not active'),
  20403: stop('The Twilio account may not use this resource'),
  20404: stop('Twilio does not know the account or resource that was addressed'),
  21608: stop('A trial account may only send to numbers that were verified'),
  30002: retry(3, 120, 'The Twilio account was suspended while the message was queued'),
  63038: retry(3, hours(6), 'The account reached its daily limit of messages'),

  // The API could not take the request just now
  20429: retry(3, 30, 'Too many requests to Twilio at once'),
  20500: retry(2, 120, 'Twilio had an internal error'),
  20503: retry(2, 120, 'Twilio was not available'),
  21611: retry(3, minutes(5), "The sender's queue at Twilio is full"),

  // The recipient's number
  21211: stop("The recipient's number is not a valid phone number"),
  21214: stop("The recipient's number cannot be reached"),
  21265: stop("The recipient's number is a short code, which cannot receive this message"),
  21266: stop('Sender and recipient are the same number'),
  21268: stop("The recipient's number is a premium number"),
  21604: stop("The recipient's number is missing"),
  21610: stop('The recipient has opted out (replied STOP)'),
  21612: stop('No route from this sender to this recipient'),
  21614: stop("The recipient's number is not a mobile number"),
  21635: stop("The recipient's number is a landline"),
  30003: retry(2, 300, 'The handset was unreachable: switched off or out of coverage'),
  30004: retry(2, 180, 'The message was blocked on its way to the handset'),
  30005: stop("The recipient's number does not exist or is no longer in service"),
  30006: stop('The number is a landline or its carrier cannot be reached'),

  // The sender's number or Messaging Service
  21212: stop("The sender's number is not valid"),
  21408: stop('Sending to this country is not enabled for the account (geo permissions)'),
  21603: stop("The sender's number is missing"),
  21606: stop("The sender's number cannot send text messages or is not owned by the account"),
  21607: stop("The sender's number cannot send to this country"),
  21616: stop("The sender's number matches several senders of the account"),
  21657: stop("The sender's number is not enabled for this use"),
  21659: stop("The sender is not a phone number or short code of this account's country"),
  21701: stop('The Messaging Service does not exist'),
  21702: stop('The Messaging Service is not valid'),
  21703: stop('The Messaging Service has no sender'),
  21704: stop('The Messaging Service has no phone number for this message'),
  21705: stop('The Messaging Service is not valid'),
  30018: stop('The carrier asks that the sender be registered first'),
  30024: stop('The sender is not allowed to send this kind of message'),
  30032: stop('The toll-free number has not been verified'),
  30033: stop('The A2P 10DLC campaign was suspended'),
  30034: stop('The number is not registered with an A2P 10DLC campaign'),
  30035: stop('The number is still being set up for sending'),

  // The content or a parameter
  21602: stop('The message has no text'),
  21605: stop('The text is too long'),
  21609: stop('The status callback URL is not valid'),
  21617: stop('The text is longer than 1,600 characters'),
  21618: stop('The content cannot be used'),
  21619: stop('The message has neither text nor media'),
  21620: stop('A media URL is not valid'),
  21621: stop('The media cannot be sent by this sender'),
  21622: stop('The content cannot be used'),
  21623: stop('Too many media files'),
  21624: stop('The validity period is not valid'),
  21626: stop('A parameter is not valid'),
  21627: stop('A parameter is not valid'),
  21652: stop('The content cannot be used'),
  21653: stop('The content cannot be used'),
  21654: stop('The content template does not exist'),
  21655: stop('The content template is not valid'),
  21656: stop('The variables of the content template are not valid'),
  21658: stop('A content variable is too long'),
  30010: stop('The message costs more than the highest price that was allowed'),
  30011: stop('The media cannot be delivered to this recipient'),
  30012: stop('A parameter is not valid'),
  30013: stop('A parameter is not valid'),
  30014: stop('The media could not be used'),
  30015: stop('The media could not be used'),
  30016: stop('The media could not be used'),
  30019: stop('The media is too large'),
  30028: stop('A parameter is not valid'),
  30029: stop('A parameter is not valid'),
  30030: stop('A parameter is not valid'),
  30031: stop('A parameter is not valid'),

  // The way to the handset
  14107: retry(2, 60, 'Too many messages to the same number within seconds (reply loop)'),
  30001: retry(3, 60, "Twilio's queue for this sender overflowed"),
  30007: stop('The carrier filtered the message as unwanted; sending it again makes filtering worse'),
  30008: stop('The carrier gave no reason; whether the message arrived is not known'),
  30017: retry(3, 120, "The carrier's network was congested"),
  30020: retry(3, 120, 'Twilio had an internal error on the way to the carrier'),
  30021: retry(3, 120, 'Twilio had an internal error on the way to the carrier'),
  30022: retry(3, minutes(3), "The sender's A2P 10DLC rate limit was exceeded"),
  30023: retry(3, hours(6), "The sender's daily limit was reached; it starts anew at midnight, US Pacific"),
  30025: retry(2, 120, 'Twilio reported a warning on the way to the carrier'),
  30026: retry(2, 120, 'Twilio reported a warning on the way to the carrier'),
  30027: retry(3, hours(6), "The carrier's daily limit was reached; it starts anew at midnight, US Pacific"),
  30036: retry(2, 120, 'The message waited at Twilio for longer than its validity period'),
  30110: stop('The carrier blocks the domain of a link in the text'),
  30410: stop('The carrier did not answer in time; the message may have arrived, so it is not sent again'),
  30450: retry(2, minutes(30), 'Blocked for 15 to 30 minutes as suspected SMS pumping'),
  30453: retry(2, hours(4), 'Blocked for hours as suspected SMS pumping'),

  // Other channels
  63001: stop('The channel did not accept the credentials'),
  63002: stop('The channel could not find the sender'),
  63003: stop('The channel could not find the recipient'),
  63005: stop('The channel did not accept the content'),
  63007: stop('The channel could not find the sender'),
  63010: retry(2, 120, 'The channel had an internal error'),
  63012: retry(2, 120, 'The channel had an internal error'),
  63013: stop("The message violates the channel's policy"),
  63016: stop('The channel allows free text only within 24 hours of the recipient writing'),
  63017: retry(2, 120, 'The channel had a temporary error'),
  63018: retry(2, minutes(5), "The channel's rate limit was exceeded"),
  63024: stop('The channel did not accept the recipient'),
  63036: stop('The channel cannot reach the recipient'),
}

/** What went wrong, for a person; `code` null means that Twilio named none. */
export function reasonOf(code: number | null): string {
  if (code === null) return 'Twilio gave no error code'
  return (ERROR_CODES[code] ?? UNKNOWN_CODE).reason
}
