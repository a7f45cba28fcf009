// docs/outcome.md has the figures of a run, and the mix that outcome/mix.ts has.
import { describe, expect, test } from '@jest/globals'
import { readFile } from 'node:fs/promises'
import { compare, type ComparisonOptions, usualPolicies } from '../../outcome/compare.ts'
import { causesOf, MIXES, type MixName } from '../../outcome/mix.ts'
import { reportOf } from '../../outcome/report.ts'
import { cellsOf } from '../../outcome/variants.ts'

const page = await readFile(new URL('../../docs/outcome.md', import.meta.url), 'utf8')

/** The lines of a paragraph may break elsewhere on the page. */
const unwrapped = (text: string): string => text.replaceAll(/\s+/g, ' ').trim()

const options: ComparisonOptions = {
  mix: 'central',
  handsets: 'central',
  messages: 100_000,
  seed: 1,
  lookedUp: 0,
}

describe('the page', () => {
  const comparison = compare(options, usualPolicies(options))

  test.each(reportOf(comparison).split('\n\n'))('has what a run prints: %.60s', (part) => {
    expect(unwrapped(page)).toContain(unwrapped(part))
  })

  test('has the same figures in the row of the central mix', () => {
    expect(page).toContain(`| **central mix** | ${cellsOf(comparison).join(' | ')} |`)
  })

  test('states that 93,820 messages are delivered without retries', () => {
    const none = comparison.policies.find(({ name }) => name === 'none')
    expect(none?.figures.delivered).toBe(93_820)
    expect(page).toContain('| **sum** | | 2,000 | **6,180** | 19,550 |')
  })
})

test('the page has at most 150 lines', () => {
  expect(page.trimEnd().split('\n').length).toBeLessThanOrEqual(150)
})

test('the page has the counts of each cause', () => {
  const table = page.slice(page.indexOf('| cause |'), page.indexOf('| **sum**'))
  const rows = table.split('\n').slice(2, -1)
  const documented = rows.map((row) => row.split('|').slice(3, 6).map(numberOf))
  const columns = MIXES.map(countsByNumber)
  const wanted = (columns[0] ?? []).map((_, row) => columns.map((counts) => counts[row]))
  expect(documented).toEqual(wanted)
})

test('the page has the sums of the causes that Twilio reports for the carrier', () => {
  const carrier = /^(?:P[1-5]|T[1-6]) /
  const sums = MIXES.map((mix) =>
    causesOf(mix, 'central')
      .filter(({ id }) => carrier.test(id))
      .reduce((sum, { share }) => sum + Math.round(share * 100_000), 0),
  )
  const [low, central, high] = sums.map((sum) => sum.toLocaleString('en'))
  expect(page).toContain(`of these at carrier level ${low}, ${central} and ${high}; reported:`)
})

const numberOf = (cell: string): number => Number(cell.replaceAll(/[*, ]/g, ''))

/** The messages of each numbered cause (P1, T7 ...). Some causes have several rows in the mix. */
function countsByNumber(mix: MixName): number[] {
  const counts = new Map<string, number>()
  for (const { id, share } of causesOf(mix, 'central')) {
    const number = id.split(' ')[0] ?? id
    counts.set(number, (counts.get(number) ?? 0) + Math.round(share * 100_000))
  }
  return [...counts.values()]
}
