// The form in which Twilio keeps a phone number. Numbers are never judged here: only a form that the country's own rules
// turn into another one, such as a trunk zero behind the country code, is found.
import { createRequire } from 'node:module'

// The smallest of the library's tables; loaded when the first number is looked at.
const load = (): typeof import('libphonenumber-js/min') =>
  createRequire(import.meta.url)('libphonenumber-js/min')

let library: ReturnType<typeof load> | undefined

/**
 * The number as Twilio may keep it, if that is another one than this: `+447700900103` for `+4407700900103`. Null for a
 * number that stays as it is, and for one of which the library knows no better form.
 */
export function rewrittenForm(number: string): string | null {
  library ??= load()
  const parsed = library.parsePhoneNumberFromString(number)
  if (parsed === undefined || parsed.number === number || !parsed.isPossible()) return null
  return parsed.number
}
