// The form of a phone number, and what is wrong with one that a person has pasted. Nothing here says the number itself.
import { describeUnusual } from './hidden-characters.ts'

export const E164 = /^\+[1-9]\d{6,14}$/

/** A sender of Twilio's: E.164, a short code, or an alphanumeric sender ID with at least one letter. */
export const SENDER = /^(\+[1-9]\d{6,14}|\d{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 +\-_&]{1,11})$/

const HINTS: readonly (readonly [pattern: RegExp, hint: string])[] = [
  [/^\s*[A-Za-z]+:/, 'leave out the word before the number'],
  [/^(?=\D*\d)[^A-Za-z]*[ ()./-]/, 'leave out spaces, brackets, dots, dashes and slashes'],
  [/^\D*00/, 'write + in place of 00'],
  [/^\s*\(?[1-9]/, 'begin with + and the country code'],
  [/^\D*\+\D*0/, 'the country code after + never begins with 0'],
]

/** What to change, such as `; begin with + and the country code`; empty if nothing can be said. */
export function hintsOnNumber(text: string): string {
  const unusual = describeUnusual(text)
  const hints = HINTS.filter(([pattern]) => pattern.test(text)).map(([, hint]) => hint)
  return [...(unusual === null ? [] : [`it has ${unusual}`]), ...hints].map((hint) => `; ${hint}`).join('')
}
