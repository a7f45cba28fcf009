// The form of a phone number, and hints on a wrong one. No text contains the number itself.
import { createRequire } from 'node:module'
import { describeUnusual } from './hidden-characters.ts'

export const E164 = /^\+[1-9]\d{6,14}$/

/** A sender at Twilio: E.164, a short code, or an alphanumeric sender ID with at least one letter. */
export const SENDER = /^(\+[1-9]\d{6,14}|\d{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 +\-_&]{1,11})$/

const HINTS: readonly (readonly [pattern: RegExp, hint: string])[] = [
  [/^\s*[A-Za-z]+:/, 'leave out the word before the number'],
  [/^(?=\D*\d)[^A-Za-z]*[ ()./-]/, 'leave out spaces, brackets, dots, dashes and slashes'],
  [/^\D*00/, 'write + in place of 00'],
  [/^\s*\(?[1-9]/, 'begin with + and the country code'],
  [/^\D*\+\D*0/, 'the country code after + never begins with 0'],
]

/** What to change, such as `; begin with + and the country code`; empty if there is no hint. */
export function hintsOnNumber(text: string): string {
  const unusual = describeUnusual(text)
  const hints = HINTS.filter(([pattern]) => pattern.test(text)).map(([, hint]) => hint)
  return [...(unusual === null ? [] : [`it has ${unusual}`]), ...hints].map((hint) => `; ${hint}`).join('')
}

// The smallest of the library's tables, loaded on first use.
const loadLibrary = (): typeof import('libphonenumber-js/min') =>
  createRequire(import.meta.url)('libphonenumber-js/min')

/** Frequent, and without a prefix that Twilio removes: the library would need longer than all other checks of a message. */
const NORTH_AMERICAN = /^\+1[2-9]\d{9}$/

let library: ReturnType<typeof loadLibrary> | undefined

/**
 * The form in which Twilio may store the number, if it differs: `+447700900103` for `+4407700900103`. Null for a number that
 * keeps its form, and for one without a better form in the library. This does not judge whether a number is valid.
 */
export function rewrittenForm(number: string): string | null {
  if (NORTH_AMERICAN.test(number)) return null
  library ??= loadLibrary()
  const parsed = library.parsePhoneNumberFromString(number)
  if (parsed === undefined || parsed.number === number || !parsed.isPossible()) return null
  return parsed.number
}
