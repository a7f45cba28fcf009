// Ratios of medians, for the bars.
import type { Figures } from '../section.ts'

/** Not a number if one of the cases was left out. */
export function ratio(
  medians: ReadonlyMap<string, Figures>,
  figure: string,
  one: string,
  other: string,
): number {
  return figureOf(medians, one, figure) / figureOf(medians, other, figure)
}

export function figureOf(medians: ReadonlyMap<string, Figures>, name: string, figure: string): number {
  return medians.get(name)?.[figure] ?? Number.NaN
}
