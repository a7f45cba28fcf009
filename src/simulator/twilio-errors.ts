// What the simulator knows of Twilio's error codes: their messages, the HTTP status of a refusal, and which failures happen
// before Twilio sends the message. The table deliberately does not import src/delivery: a wrong code there would otherwise
// be wrong here as well, and no test would notice.

interface KnownError {
  message: string
  /** HTTP status of the refusal. Default: 400. */
  httpStatus?: number
  /** The API refuses the request, although the code does not begin with 2. */
  refusedByApi?: true
  /** The message becomes 'failed' without 'sent' before. Otherwise it becomes 'undelivered' after 'sent'. */
  neverLeftTwilio?: true
}

// Source: https://www.twilio.com/docs/api/errors. Twilio documents `failed` as "could not be sent" and does not list the
// codes, so `neverLeftTwilio` follows from the meaning of each code.
const KNOWN_ERRORS: Readonly<Record<number, KnownError>> = {
  10001: { message: 'Account is not active', neverLeftTwilio: true },
  14107: { message: 'Message send rate limit exceeded: suspected reply loop', neverLeftTwilio: true },
  20001: { message: 'Unknown parameters' },
  20003: { message: 'Authenticate', httpStatus: 401 },
  20005: { message: 'Account not active' },
  20403: { message: 'Forbidden', httpStatus: 403 },
  20404: { message: 'The requested resource was not found', httpStatus: 404 },
  20422: { message: 'Invalid Parameter' },
  20429: { message: 'Too Many Requests', httpStatus: 429 },
  20500: { message: 'An internal server error has occurred', httpStatus: 500 },
  20503: { message: 'Service unavailable', httpStatus: 503 },
  21211: { message: "Invalid 'To' Phone Number" },
  21212: { message: "Invalid 'From' Number" },
  21408: {
    message: "Permission to send an SMS has not been enabled for the region indicated by the 'To' number",
  },
  21602: { message: 'Message body is required.' },
  21603: { message: "A 'From' phone number is required." },
  21604: { message: "A 'To' phone number is required." },
  21606: { message: "The 'From' phone number is not a valid, SMS-capable number for your account" },
  21608: { message: 'The number is unverified. Trial accounts cannot send messages to unverified numbers' },
  21609: { message: "Invalid 'StatusCallback' URL" },
  21610: { message: 'Attempt to send to unsubscribed recipient' },
  21611: { message: "This 'From' number has exceeded the maximum number of queued messages" },
  21612: { message: "Message cannot be sent with the current combination of 'To' and/or 'From' parameters" },
  21614: { message: "'To' number is not a valid mobile number" },
  21617: { message: 'The concatenated message body exceeds the 1600 character limit' },
  21624: { message: 'Invalid validity period value' },
  21635: { message: "'To' number cannot be a landline" },
  21701: { message: 'The Messaging Service does not exist', httpStatus: 404 },
  30001: { message: 'Queue overflow', neverLeftTwilio: true },
  30002: { message: 'Account suspended', neverLeftTwilio: true },
  30003: { message: 'Unreachable destination handset' },
  30004: { message: 'Message blocked' },
  30005: { message: 'Unknown destination handset' },
  30006: { message: 'Landline or unreachable carrier' },
  30007: { message: 'Message filtered' },
  30008: { message: 'Unknown error' },
  30010: { message: 'Message price exceeds max price', neverLeftTwilio: true },
  30011: { message: 'MMS not supported by the receiving phone number in this region', neverLeftTwilio: true },
  30012: { message: 'TTL is too small', neverLeftTwilio: true },
  30013: { message: 'TTL is too big', neverLeftTwilio: true },
  30017: { message: 'Carrier network congestion' },
  30020: { message: 'Internal failure', neverLeftTwilio: true },
  30021: { message: 'Internal failure', neverLeftTwilio: true },
  30022: { message: 'US A2P 10DLC: rate limits exceeded' },
  30023: { message: 'US A2P 10DLC: daily message cap reached' },
  30027: { message: 'US A2P 10DLC: T-Mobile daily message limit reached' },
  30032: { message: 'Toll-free number has not been verified' },
  30034: { message: 'US A2P 10DLC: message from an unregistered number' },
  30036: { message: 'Validity period expired', neverLeftTwilio: true },
  30410: { message: 'Provider timeout error' },
  30450: { message: 'Message delivery blocked by SMS pumping protection', neverLeftTwilio: true },
  30453: { message: 'Message delivery blocked by SMS pumping protection', neverLeftTwilio: true },
  63038: { message: 'Account exceeded its daily message limit', httpStatus: 429, refusedByApi: true },
}

export interface Refusal {
  code: number
  httpStatus: number
  message: string
}

export function refusal(code: number, message: string = describeError(code)): Refusal {
  return { code, httpStatus: KNOWN_ERRORS[code]?.httpStatus ?? 400, message }
}

/** The JSON body of an error answer, which the twilio package turns into a RestException. */
export function refusalBody({ code, httpStatus, message }: Refusal) {
  return { code, message, more_info: `https://www.twilio.com/docs/errors/${code}`, status: httpStatus }
}

export function describeError(code: number): string {
  return KNOWN_ERRORS[code]?.message ?? `Simulated error ${code}`
}

/** The API refuses with 2xxxx codes. Nearly all other codes are reported after the 201. */
export function isRefusedByApi(code: number): boolean {
  return String(code).startsWith('2') || KNOWN_ERRORS[code]?.refusedByApi === true
}

export function neverLeftTwilio(code: number): boolean {
  return KNOWN_ERRORS[code]?.neverLeftTwilio === true
}

/** In ascending order, for the first page. */
export function codesThatNeverLeaveTwilio(): number[] {
  return Object.keys(KNOWN_ERRORS).map(Number).filter(neverLeftTwilio)
}
