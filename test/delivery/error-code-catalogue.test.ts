// Compares the table of error codes with Twilio's catalogue. After an update of twilio-error-catalogue.tsv, these tests name
// new codes, removed codes, and rules that differ from the suggestion of the catalogue.
import { describe, expect, test } from '@jest/globals'
import { readFile } from 'node:fs/promises'
import { ERROR_CODES } from '../../src/delivery/error-codes.ts'
import type { Rule } from '../../src/delivery/retry-rule.ts'
import { UNRELATED_CODES } from '../../src/delivery/unrelated-codes.ts'

type Kind = 'stop' | 'back-off' | 'clock' | 'rolling' | 'window' | 'none'

/** The kind of rule that each suggestion means, without the part in brackets. */
const KINDS: Readonly<Record<string, Kind>> = {
  stop: 'stop',
  'stop, next sender': 'stop',
  retry: 'back-off',
  'retry, minutes': 'back-off',
  'retry, 30 min': 'back-off',
  'retry, minutes to hours': 'back-off',
  'retry, hours': 'back-off',
  'retry after 00:00 US Pacific': 'clock',
  'retry after a rolling 24 h': 'rolling',
  // As an answer of the API it uses up no retry. This rule applies if a callback reports it.
  'not processed': 'back-off',
  'retry when the send window opens': 'window',
  // There is no rule yet that holds an account, so it backs off.
  hold: 'back-off',
  // Neither ends a send.
  other: 'none',
  'no failure': 'none',
}

/** The minimum and maximum first delay, in seconds, of suggestions with a delay. */
const FIRST_DELAYS: Readonly<Record<string, readonly [least: number, longest: number]>> = {
  'retry, minutes': [60, 1800],
  'retry, 30 min': [1800, 1800],
  'retry, minutes to hours': [60, 6 * 3600],
  'retry, hours': [3600, 6 * 3600],
  'retry 3, base 60 s': [60, 60],
  'retry 2, base 300 s': [300, 300],
  'retry 2, base 180 s': [180, 180],
}

/** Deliberate differences from the catalogue, with the reason. */
const DELIBERATE: ReadonlyMap<number, Kind> = new Map([
  // Twilio's page says to wait 24 hours.
  [63018, 'rolling'],
])

interface CatalogueEntry {
  readonly code: number
  readonly suggestion: string
}

const text = await readFile(new URL('twilio-error-catalogue.tsv', import.meta.url), 'utf8')
const catalogue: readonly CatalogueEntry[] = text
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const [code = '', , , suggestion = ''] = line.split('\t')
    return { code: Number(code), suggestion: suggestion.replace(/ \(.*$/, '') }
  })

/** Some suggestions have their own numbers, such as "retry 3, base 60 s". */
function suggestedKind(suggestion: string): Kind | undefined {
  return /^retry \d/.test(suggestion) ? 'back-off' : KINDS[suggestion]
}

function kindOf(code: number): Kind {
  const rule: Rule | undefined = ERROR_CODES[code]?.rule
  if (rule === undefined) return 'none'
  if (rule.action === 'stop') return 'stop'
  if ('after' in rule) return 'clock'
  if ('when' in rule) return 'window'
  return 'periodSeconds' in rule ? 'rolling' : 'back-off'
}

const codes = new Set(catalogue.map(({ code }) => code))

test('every line of the catalogue has a unique code and a known suggestion', () => {
  expect(catalogue.length).toBeGreaterThan(400)
  expect(codes.size).toBe(catalogue.length)
  expect(catalogue.filter(({ code }) => !Number.isInteger(code) || code < 10_000)).toEqual([])
  expect(catalogue.filter(({ suggestion }) => suggestedKind(suggestion) === undefined)).toEqual([])
})

describe('the table of error codes', () => {
  test('has, or lists as unrelated, every code of the catalogue', () => {
    const isListed = (code: number): boolean => Object.hasOwn(ERROR_CODES, code) || UNRELATED_CODES.has(code)
    expect(catalogue.filter(({ code }) => !isListed(code))).toEqual([])
  })

  test('has no code, and lists none as unrelated, that the catalogue lacks', () => {
    const listed = [...Object.keys(ERROR_CODES).map(Number), ...UNRELATED_CODES]
    expect(listed.filter((code) => !codes.has(code))).toEqual([])
  })

  test('has no code that is also listed as unrelated', () => {
    expect([...UNRELATED_CODES].filter((code) => Object.hasOwn(ERROR_CODES, code))).toEqual([])
  })

  test('has the suggested kind of rule for every code, except for deliberate differences', () => {
    const different = catalogue
      .filter(({ code, suggestion }) => kindOf(code) !== suggestedKind(suggestion))
      .map(({ code }): [number, Kind] => [code, kindOf(code)])
    expect(new Map(different)).toEqual(DELIBERATE)
  })

  test('has the suggested first delay for every code with one', () => {
    const wrong = catalogue.filter(({ code, suggestion }) => {
      const [least, longest] = FIRST_DELAYS[suggestion] ?? [0, Number.POSITIVE_INFINITY]
      const rule = ERROR_CODES[code]?.rule
      if (rule === undefined || !('baseDelaySeconds' in rule)) return false
      return rule.baseDelaySeconds < least || rule.baseDelaySeconds > longest
    })
    expect(wrong).toEqual([])
  })
})
