// One table: Twilio's error code, its meaning in plain words, and its retry rule. Change a rule here; a new code is one
// line. test/delivery/error-code-catalogue.test.ts compares this table, and the codes that end no send
// (unrelated-codes.ts), with Twilio's catalogue.
//
// Source of each meaning: https://www.twilio.com/docs/api/errors/<code>. The rules are our judgement, unless the text says
// that Twilio asks for it.
import type { Rule } from './retry-rule.ts'
import { isUnrelated } from './unrelated-codes.ts'

export interface ErrorCode {
  /** What went wrong, for a reader who does not know Twilio. */
  readonly reason: string
  readonly rule: Rule
}

const minutes = (n: number): number => n * 60
const hours = (n: number): number => n * 3600

function retry(retries: number, baseDelaySeconds: number, reason: string): ErrorCode {
  return { reason, rule: { action: 'retry', retries, baseDelaySeconds } }
}

/** For the daily limits of US carriers. */
function retryAtMidnightPacific(retries: number, reason: string): ErrorCode {
  return { reason, rule: { action: 'retry', retries, after: '00:00', timeZone: 'America/Los_Angeles' } }
}

function retryAfterPeriod(retries: number, periodSeconds: number, reason: string): ErrorCode {
  return { reason, rule: { action: 'retry', retries, periodSeconds } }
}

/** For refusals because of the hour at the recipient. */
function retryInSendWindow(retries: number, reason: string): ErrorCode {
  return { reason, rule: { action: 'retry', retries, when: 'window_opens' } }
}

/** For failures of the account, which are no fault of the message. */
function hold(reason: string): ErrorCode {
  return { reason, rule: { action: 'hold' } }
}

function stop(reason: string): ErrorCode {
  return { reason, rule: { action: 'stop' } }
}

/** The rule of a code that the table does not have. Twilio adds codes at any time. */
export const UNKNOWN_CODE: ErrorCode = retry(2, 120, 'An error code that this version does not know')

export const ERROR_CODES: Readonly<Record<number, ErrorCode>> = {
  // The account
  10001: hold('The Twilio account is not active, often because its balance is empty'),
  20003: hold('Twilio did not accept the credentials: wrong or rotated token, or a closed account'),
  20005: hold('The Twilio account is not active, often because its balance is empty'),
  20403: stop('The Twilio account may not use this resource; it may be suspended or closed'),
  20404: stop('Twilio has no such account or resource'),
  21267: stop('A trial account cannot send from an alphanumeric sender ID'),
  21608: stop('A trial account may only send to numbers that were verified'),
  23001: stop('The account redacts phone numbers, so its long codes cannot handle opt-out replies'),
  23002: stop('The account redacts phone numbers, so its short codes cannot handle opt-out replies'),
  23003: stop('The account redacts phone numbers, so it cannot use Sticky Sender'),
  23004: stop('The account redacts phone numbers, so it cannot use Advanced Opt-Out'),
  23005: stop('The account redacts phone numbers, so it cannot fall back to a long code'),
  23006: stop('The account redacts texts or numbers, so its inbound webhooks cannot use GET'),
  30002: {
    reason: 'The Twilio account was suspended while the message was queued',
    rule: { action: 'retry', retries: 3, baseDelaySeconds: 120, countsTowardsHold: true },
  },
  30037: hold('Twilio has disabled outbound messages for this account'),
  30044: stop('The text is longer than a trial account may send'),
  30454: retry(2, hours(4), 'The account sent more messages than it may; Twilio lifts this after hours'),
  63020: stop('The channel reports a problem with the Meta Business Manager account'),
  63038: retryAfterPeriod(3, hours(24), 'The account reached its limit of messages in 24 hours'),
  63051: stop('WhatsApp has locked the WhatsApp Business account of this sender'),
  90010: hold('The Twilio account is not active'),
  572002: stop('The trial account may not send this message'),

  // Twilio could not take or process the request just now
  20410: stop('Twilio no longer offers this part of its API'),
  20429: retry(3, 30, 'Too many requests to Twilio at once'),
  20500: retry(2, 120, 'Twilio had an internal error'),
  20503: retry(2, 120, 'Twilio was not available'),
  20504: retry(2, 120, 'Twilio had an internal error while it processed the message'),
  21611: retry(
    3,
    minutes(5),
    "The sender's queue at Twilio is full: it holds as many messages as can be sent in ten hours",
  ),
  30001: retry(3, 60, "Twilio's queue for this sender overflowed"),
  30020: retry(3, 120, 'Twilio had an internal error when it scheduled the message'),
  30021: retry(3, 120, 'Twilio had an internal error when its Messaging Service chose the sender'),
  30036: retry(2, 120, 'The message waited at Twilio for longer than its validity period'),
  30047: retry(2, 120, 'Twilio failed to postpone the message to the hours in which sending is allowed'),
  30500: retry(2, 120, 'Twilio had an internal error while it processed the message'),
  35125: retry(2, hours(1), 'The account has too many scheduled messages at Twilio'),

  // The recipient
  21211: stop("The recipient's number is not a valid phone number"),
  21214: stop("The recipient's number cannot be reached"),
  21265: stop("The recipient's number is a short code, which cannot receive this message"),
  21266: stop('Sender and recipient are the same number'),
  21268: stop("The recipient's number is a premium-rate or information service number"),
  21604: stop("The recipient's number is missing"),
  21610: stop('The recipient has opted out (replied STOP)'),
  21612: stop('Twilio has no route from this sender to this recipient'),
  21614: stop("The recipient's number is not a mobile number"),
  21635: stop("The recipient's number is a landline"),
  30003: retry(2, 300, 'The handset was unreachable: switched off or out of coverage'),
  30004: retry(2, 180, 'The message was blocked on its way to the handset'),
  30005: stop("The recipient's number does not exist or is no longer in service"),
  30006: stop('The number is a landline or its carrier cannot be reached'),
  30610: retryInSendWindow(3, "The recipient's local law does not allow such messages at this hour"),
  30615: retryInSendWindow(3, "The recipient's local law does not allow such messages at this hour"),
  30630: stop('The recipient has unsubscribed'),

  // The sender or its Messaging Service
  21212: stop("The sender's number or ID is not valid"),
  21408: stop('Sending to this country is not enabled for the account (geo permissions)'),
  21601: stop("The sender's number cannot send text messages"),
  21603: stop('The request names neither a sender nor a Messaging Service'),
  21606: stop("The sender's number cannot send to this recipient, or is not owned by the account"),
  21607: stop('A trial account must send from the number that Twilio gave it'),
  21616: stop("The sender's number matches several numbers of the account"),
  21657: stop('The sender ID is not valid'),
  21659: stop('The sender is not a Twilio number, or a short code of another country'),
  21660: stop("The sender's number belongs to another account"),
  21661: stop("The sender's number cannot send text messages"),
  21701: stop('The Messaging Service does not exist'),
  21702: stop('The Messaging Service is not available for new messages'),
  21703: stop('No number of the Messaging Service can send this message to this recipient'),
  21704: stop('The Messaging Service has no sender'),
  21705: stop('The Messaging Service is not valid'),
  21708: stop('The Messaging Service needs an alphanumeric sender ID, and the request has none'),
  21709: stop('The alphanumeric sender ID is not valid, or not allowed for this Messaging Service'),
  21711: stop('The sender does not belong to the Messaging Service'),
  21713: stop('The use case of the Messaging Service is not valid'),
  21715: stop('The number in the Messaging Service can send neither texts nor media'),
  21733: stop('The account has no default Messaging Service'),
  30018: stop('The country requires that this sender ID be registered first'),
  30022: retry(3, minutes(3), "The sender's A2P 10DLC rate limit was exceeded"),
  30023: retryAtMidnightPacific(
    2,
    "The daily limit of the sender's A2P 10DLC brand was reached; it is reset at midnight, US Pacific",
  ),
  30024: stop("The recipient's carrier has not set up this numeric sender ID"),
  30027: retryAtMidnightPacific(
    2,
    'The daily limit at T-Mobile was reached; it is reset at midnight, US Pacific',
  ),
  30032: stop('The toll-free number has not been verified'),
  30033: stop('The A2P 10DLC campaign was suspended'),
  30034: stop('The number is not registered with an A2P 10DLC campaign'),
  30035: retry(3, minutes(5), 'The number is still being set up for A2P 10DLC, which often takes minutes'),
  30040: stop("The recipient's carrier requires that this sender ID be registered first"),
  30041: stop('The United Kingdom requires that this number be registered first'),
  30042: stop('The sender ID is blocked: too generic, or it has special characters'),
  30043: stop('The route takes domestic messages only, and this one is international'),
  30620: stop('The message does not fit the use case for which the sender ID is registered'),

  // The content
  11751: stop('The media is larger than the channel allows'),
  21602: stop('The message has neither text nor media'),
  21605: stop("The text is longer than the 160 characters of Twilio's old API"),
  21617: stop('The text is longer than 1,600 characters'),
  21618: stop('This text cannot be sent'),
  21619: stop('The message has no text, media or content template'),
  21620: stop('A media URL is not valid'),
  21621: stop("The sender's number is not enabled for MMS"),
  21622: stop('The account is not enabled for MMS'),
  21623: stop('The message has too many media files'),
  21652: stop('The subject is longer than 40 characters'),
  21653: stop('The message has more recipients than the channel allows'),
  21654: stop('The message has content variables, and names no content template'),
  21655: stop('The content template does not exist'),
  21656: stop('The variables of the content template are not valid'),
  21658: stop('A content variable is too long'),
  30007: stop('The carrier filtered the message as unwanted; sending it again makes filtering worse'),
  30010: stop('The message costs more than the maximum price allows'),
  30011: stop("The recipient's number cannot receive MMS in this region"),
  30014: stop("The attributes of the recipient's address are not valid"),
  30015: stop('Twilio does not support this type of channel'),
  30016: stop('Sender and recipient are on incompatible channels'),
  30019: stop('The text or media is larger than the carrier allows'),
  30110: stop('The domain of a link in the text is blocked'),
  30111: stop('A link in the text is blocked'),

  // A parameter of the request
  21609: stop('The status callback URL is not valid'),
  21624: stop('The validity period is not valid'),
  21626: stop('The list of status callback events is not valid'),
  21627: stop('The maximum price is not a number'),
  21666: stop('A parameter of the request is not valid'),
  21902: stop('The invoice tag is longer than 32 characters'),
  21910: stop('Sender and recipient are not on the same channel'),
  30012: stop('The validity period is too short'),
  30013: stop('The validity period is too long'),
  30028: stop('The API version is not valid'),
  30029: stop('The content retention is not valid'),
  30030: stop('The address retention is not valid'),
  30031: stop('The maximum rate is not a number'),
  30400: stop('The parameters of the request are not valid'),
  30404: stop('The request names a resource that does not exist'),
  35111: stop('A scheduled message has no time at which to send it'),
  35114: stop('The scheduled time is too near or more than 35 days away'),
  35115: stop('The scheduled time is too near or more than 35 days away'),
  35117: stop('The scheduled time is too near or more than 35 days away'),
  35118: stop('A scheduled message needs a Messaging Service'),
  35126: stop('This channel does not support scheduled messages of this type'),
  35127: stop('The message has both a text and content variables'),
  90007: stop('The validity period must be between 1 and 36,000 seconds'),
  90014: stop('The validity period is not a positive whole number'),
  92002: stop('The content template has more than 100 variables'),
  92006: stop('The content template does not exist'),
  92007: stop('The content variables are not valid JSON'),

  // The way to the handset
  14107: retry(2, 60, 'Too many messages to the same number within seconds (reply loop)'),
  30008: stop('The carrier gave no reason; it is not known whether the message arrived'),
  30017: retry(3, 120, "The carrier's network was congested"),
  30410: stop('The carrier did not answer in time; the message may have arrived, so it is not sent again'),
  30450: retry(2, minutes(30), 'The number is blocked for 15 to 30 minutes as suspected SMS pumping'),
  30453: retry(2, hours(4), 'The number is blocked for hours as suspected fraud (SMS pumping)'),
  30485: retry(2, hours(4), 'The number is blocked for hours as suspected fraud'),

  // Other channels: WhatsApp, RCS, Messenger
  63001: stop('The channel did not accept the credentials'),
  63002: stop('The channel could not find the sender'),
  63003: stop('The channel could not find the recipient'),
  63005: stop('The channel did not accept the content'),
  63006: stop("The content cannot be put into the channel's format"),
  63007: stop('Twilio has no sender with this address on the channel'),
  63008: stop('The channel is not set up correctly at Twilio'),
  63009: retry(2, 120, 'The channel had an internal error'),
  63010: retry(2, 120, 'Twilio had an internal error on the way to the channel'),
  63011: stop('The channel could not process the request'),
  63012: retry(2, 120, 'The channel had an internal error'),
  63013: stop("The message violates the channel's policy"),
  63014: stop('The recipient has blocked the sender or opted out on the channel'),
  63015: stop("The channel's sandbox can only send to numbers that have joined it"),
  63016: stop("Outside the channel's conversation window; only an approved template may be sent now"),
  63017: retry(2, 120, "Twilio's limit of messages per second was exceeded"),
  63018: retryAfterPeriod(
    2,
    hours(24),
    "The sender reached the channel's limit of messages; Twilio says to wait 24 hours",
  ),
  63019: stop('Twilio could not download the media'),
  63021: stop('The channel rejects or does not support this content'),
  63022: stop("The channel did not accept the certificate of the sender's name"),
  63023: retry(2, 120, 'The channel had an unknown error'),
  63024: stop('The recipient cannot receive messages on this channel'),
  63025: stop('The media already exists at the channel'),
  63026: stop("The channel regards the sender's content as spam"),
  63027: stop('The content template does not exist in this language'),
  63028: stop('The number of parameters does not match the content template'),
  63029: retry(2, 120, "The recipient's app failed to download the content template"),
  63030: stop('Messages of this type cannot have this parameter'),
  63031: stop('Sender and recipient are the same address on the channel'),
  63032: stop("WhatsApp does not deliver this message to this recipient (an experiment of WhatsApp's)"),
  63033: stop('The recipient has opted out on the channel'),
  63034: stop("The media is larger than the channel's 5 MB"),
  63035: stop("The RCS sender is not launched, or not for this recipient's country"),
  63036: stop("The recipient's number cannot be reached by RCS"),
  63037: retry(2, 120, 'The media failed to upload to the channel'),
  63040: stop('WhatsApp rejected the content template'),
  63041: stop('WhatsApp has paused the content template after complaints'),
  63042: stop('WhatsApp has disabled the content template after complaints'),
  63049: stop('Meta withheld the marketing message from this recipient; another channel may deliver it'),
  63106: stop("The recipient's phone does not support RCS"),
  63107: stop("The recipient's number is not a valid phone number"),
}

const UNRELATED = 'An error that Twilio documents for something other than sending a message'

/** What went wrong, for a person. `code` is null if Twilio gave none. */
export function reasonOf(code: number | null): string {
  if (code === null) return 'Twilio gave no error code'
  return ERROR_CODES[code]?.reason ?? (isUnrelated(code) ? UNRELATED : UNKNOWN_CODE.reason)
}
