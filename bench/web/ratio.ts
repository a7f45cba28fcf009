// Ratios of medians, for the bars.
import type { Figures } from '../section.ts'
import { medianOf } from '../worker/figures.ts'

/** Not a number if one of the cases was left out. */
export function ratio(
  medians: ReadonlyMap<string, Figures>,
  figure: string,
  one: string,
  other: string,
): number {
  return medianOf(medians, one, figure) / medianOf(medians, other, figure)
}
