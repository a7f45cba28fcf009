// The country calling code that a phone number begins with, and the countries that share it.
import { createRequire } from 'node:module'

// The smallest of the library's tables, loaded on first use.
const loadLibrary = (): typeof import('libphonenumber-js/min') =>
  createRequire(import.meta.url)('libphonenumber-js/min')

let countriesByCode: ReadonlyMap<string, readonly string[]> | undefined

function loadCountries(): ReadonlyMap<string, readonly string[]> {
  const { getCountries, getCountryCallingCode } = loadLibrary()
  return Map.groupBy(getCountries(), (country) => getCountryCallingCode(country))
}

export interface CallingCode {
  /** With its plus sign, such as `+44`. */
  readonly code: string
  /** ISO 3166 codes. */
  readonly countries: readonly string[]
}

/** @returns null for a prefix of no country, such as that of a satellite network, and for what is no number */
export function callingCodeOf(number: string): CallingCode | null {
  countriesByCode ??= loadCountries()
  // No calling code is the beginning of another one.
  const [, digits] = /^\+?(\d{1,3})/.exec(number) ?? []
  for (let length = 1; length <= (digits?.length ?? 0); length += 1) {
    const code = digits?.slice(0, length) ?? ''
    const countries = countriesByCode.get(code)
    if (countries !== undefined) return { code: `+${code}`, countries }
  }
  return null
}
