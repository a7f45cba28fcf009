// Validates a request to create a message as Twilio does, with Twilio's code for each fault.
import { type Refusal, refusal } from './twilio-errors.ts'

export interface Submission {
  to: string
  body: string
  from: string | null
  messagingServiceSid: string | null
  statusCallback: string | null
  validityPeriodSeconds: number | null
}

const E164 = /^\+[1-9]\d{6,14}$/
const BODY_MAX_CHARACTERS = 1600
const STATUS_CALLBACK_MAX_CHARACTERS = 4000
const VALIDITY_PERIOD_MAX_SECONDS = 36_000

/** @param form the body as parsed by express.urlencoded; undefined for another content type */
export function readSubmission(form: unknown): Submission | Refusal {
  const to = readField(form, 'To')
  if (to === null) return refusal(21604)
  if (!E164.test(to)) return refusal(21211, `The 'To' number ${to} is not a valid phone number.`)

  const body = readField(form, 'Body')
  if (body === null) return refusal(21602)
  // Twilio does not document the unit of this limit. UTF-16 code units are stricter than characters.
  if (body.length > BODY_MAX_CHARACTERS) return refusal(21617)

  const from = readField(form, 'From')
  const messagingServiceSid = readField(form, 'MessagingServiceSid')
  if (from === null && messagingServiceSid === null) return refusal(21603)
  if (from !== null && !E164.test(from)) {
    return refusal(
      21212,
      `The 'From' number ${from} is not a valid phone number, shortcode, or alphanumeric sender ID.`,
    )
  }

  const statusCallback = readField(form, 'StatusCallback')
  if (statusCallback !== null && !isCallbackUrl(statusCallback)) {
    return refusal(21609, `The 'StatusCallback' URL ${statusCallback} is not a valid URL.`)
  }

  const validityPeriod = readField(form, 'ValidityPeriod')
  const validityPeriodSeconds = validityPeriod === null ? null : readSeconds(validityPeriod)
  if (Number.isNaN(validityPeriodSeconds)) {
    // Of Twilio's six codes on this parameter (21624, 30012, 30013, 30045, 90007, 90014), 21624 is the one
    // documented for "creating a Message resource" with a value that is not an integer from 1 to 36000.
    return refusal(21624, `The ValidityPeriod ${validityPeriod} is not an integer between 1 and 36000.`)
  }
  return { to, body, from, messagingServiceSid, statusCallback, validityPeriodSeconds }
}

export function isRefusal(read: Submission | Refusal): read is Refusal {
  return 'code' in read
}

/** As at Twilio, an empty field counts as missing, and the first of repeated fields counts. */
function readField(form: unknown, name: string): string | null {
  if (typeof form !== 'object' || form === null) return null
  const value: unknown = Reflect.get(form, name)
  const first: unknown = Array.isArray(value) ? value[0] : value
  return typeof first === 'string' && first !== '' ? first : null
}

function isCallbackUrl(text: string): boolean {
  return text.length <= STATUS_CALLBACK_MAX_CHARACTERS && /^https?:\/\//i.test(text) && URL.canParse(text)
}

function readSeconds(text: string): number {
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
  return seconds >= 1 && seconds <= VALIDITY_PERIOD_MAX_SECONDS ? seconds : Number.NaN
}
