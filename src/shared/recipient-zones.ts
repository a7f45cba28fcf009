// The time zones that the holder of a phone number can be in; where the phone is at the moment, the number does not tell. The
// zones of a country come from Intl: those of libphonenumber's map are an hour off in Algeria, Libya, Morocco, Nicaragua and
// South Sudan. The map narrows a country with several zones down to the area of the number.
import { createRequire } from 'node:module'
import { ZONE_PREFIXES } from './zone-prefixes.ts'

// The table that knows the type of a number, 157 kB, loaded on first use.
const loadLibrary = (): typeof import('libphonenumber-js/max') =>
  createRequire(import.meta.url)('libphonenumber-js/max')

let library: ReturnType<typeof loadLibrary> | undefined

/**
 * Calling codes whose mobile numbers have the area codes of landlines. Source: libphonenumber, `GEO_MOBILE_COUNTRIES`, without
 * Indonesia (62), and North America, where the type of a number cannot be told. The mobile numbers of Indonesia, Chile and
 * Micronesia have no area code, although libphonenumber's map has one zone for them.
 */
const MOBILE_WITH_AREA: readonly string[] = ['1', '52', '54', '55', '86']

/**
 * All zones, by their IANA names, that the holder of this number in E.164 can be in: those of the area if the number belongs
 * to one, otherwise those of the country. Null for a toll-free number, and if the country cannot be told: an international
 * number, or an invalid one whose calling code several countries share, such as +1.
 */
export function zonesOfNumber(number: string): readonly string[] | null {
  library ??= loadLibrary()
  const parsed = library.parsePhoneNumberFromString(number)
  const type = parsed?.getType()
  if (parsed?.country === undefined || type === 'TOLL_FREE') return null
  const ofCountry = zonesOfCountry(parsed.country)
  const hasArea =
    type === 'FIXED_LINE' ||
    (MOBILE_WITH_AREA.includes(parsed.countryCallingCode) &&
      (type === 'MOBILE' || type === 'FIXED_LINE_OR_MOBILE'))
  if (ofCountry.length > 0 && !hasArea) return ofCountry
  const ofArea = zonesOfPrefix(parsed.number.slice(1))
  // Intl has no zones for Kosovo.
  if (ofCountry.length === 0) return ofArea.length > 0 ? ofArea : null
  // Some areas of the map have zones of other countries.
  const ofBoth = ofArea.filter((zone) => ofCountry.includes(zone))
  return ofBoth.length > 0 ? ofBoth : ofCountry
}

/** ECMA-402 made a method of this, and Node 22 still has the earlier property. TypeScript knows neither. */
type LocaleWithZones = Intl.Locale & {
  readonly getTimeZones?: () => readonly string[] | undefined
  readonly timeZones?: readonly string[]
}

const zonesByCountry = new Map<string, readonly string[]>()

function zonesOfCountry(country: string): readonly string[] {
  const known = zonesByCountry.get(country)
  if (known !== undefined) return known
  const locale: LocaleWithZones = new Intl.Locale('und', { region: country })
  const zones = locale.getTimeZones?.() ?? locale.timeZones ?? []
  zonesByCountry.set(country, zones)
  return zones
}

let zonesByPrefix: ReadonlyMap<string, readonly string[]> | undefined

/** The zones of the longest prefix in libphonenumber's map that these digits begin with; none if there is no such prefix. */
function zonesOfPrefix(digits: string): readonly string[] {
  zonesByPrefix ??= parsePrefixes(ZONE_PREFIXES)
  for (let length = digits.length; length > 0; length -= 1) {
    const zones = zonesByPrefix.get(digits.slice(0, length))
    if (zones !== undefined) return zones
  }
  return []
}

/** Reads zones, joined by `&`, and after them the prefixes of these zones. */
function parsePrefixes(text: string): Map<string, readonly string[]> {
  const parsed = new Map<string, readonly string[]>()
  let zones: readonly string[] = []
  for (const word of text.trim().split(/\s+/)) {
    if (/^\d/.test(word)) parsed.set(word, zones)
    else zones = word.split('&')
  }
  return parsed
}
