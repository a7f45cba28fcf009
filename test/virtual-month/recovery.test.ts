// The curves of the mix, drawn many times, against the shares that docs/outcome.md gives for each delay.
import { expect, test } from '@jest/globals'
import { causesOf, type Handsets } from '../../outcome/mix.ts'
import { drawRecoveryMs, type Recovery } from '../../outcome/recovery.ts'
import { createRandom } from '../../src/simulator/seeded-random.ts'

const DRAWS = 40_000
/** Four standard errors of a share of 0.5, and half a unit of the last digit in the table. */
const TOLERANCE = 4 * Math.sqrt(0.25 / DRAWS) + 0.005

const MINUTES = [1, 5, 15, 60, 240, 720, 1440, 4320]

const curveOf = (cause: string, handsets: Handsets = 'central'): Recovery => {
  const found = causesOf('central', handsets).find(({ id }) => id.startsWith(cause))
  if (found === undefined) throw new Error(`The mix has no cause ${cause}`)
  return found.recovery
}

const TABLE: readonly (readonly [name: string, curve: Recovery, shares: readonly number[]])[] = [
  ['A', curveOf('T1'), [0.04, 0.16, 0.32, 0.52, 0.76, 0.91, 0.96, 0.97]],
  ['A slow', curveOf('T1', 'slow'), [0.02, 0.08, 0.17, 0.33, 0.61, 0.81, 0.88, 0.9]],
  ['A fast', curveOf('T1', 'fast'), [0.06, 0.25, 0.5, 0.71, 0.86, 0.94, 0.96, 0.97]],
  ['A late', curveOf('T1', 'stored'), [0, 0, 0.01, 0.02, 0.09, 0.24, 0.38, 0.57]],
  ['B', curveOf('T3'), [0, 0, 0.01, 0.03, 0.13, 0.33, 0.54, 0.81]],
  ['C', curveOf('T4'), [0, 0, 0.02, 0.18, 0.6, 0.88, 0.96, 1]],
  ['D', curveOf('T5'), [0.33, 0.42, 0.58, 0.82, 0.93, 0.99, 1, 1]],
  ['E', curveOf('T6'), [0.03, 0.15, 0.39, 0.86, 1, 1, 1, 1]],
]

test.each(TABLE)('curve %s ends after each delay for the documented share', (_name, curve, shares) => {
  const random = createRandom(7)
  const ends = Array.from({ length: DRAWS }, () => drawRecoveryMs(curve, 0, random))
  const drawn = MINUTES.map((minutes) => ends.filter((ms) => ms <= minutes * 60_000).length / DRAWS)
  const differences = drawn.map((share, i) => Math.abs(share - (shares[i] ?? Number.NaN)))
  expect(Math.max(...differences)).toBeLessThan(TOLERANCE)
})

test('a daily cap ends at the next midnight on the Pacific coast', () => {
  const at = Date.parse('2026-06-10T20:00:00-07:00')
  expect(drawRecoveryMs(curveOf('T8 daily'), at, createRandom(1))).toBe(4 * 3_600_000)
})

test('a permanent cause never ends', () => {
  expect(drawRecoveryMs(curveOf('P1'), 0, createRandom(1))).toBe(Number.POSITIVE_INFINITY)
})
