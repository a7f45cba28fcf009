// Small sums over what was measured.
import type { BenchCase, Figures } from '../section.ts'

/** NaN if the case was left out, so that no bar holds by accident. */
export function medianOf(medians: ReadonlyMap<string, Figures>, name: string, figure: string): number {
  return medians.get(name)?.[figure] ?? Number.NaN
}

/** The smallest value that so large a share of all does not exceed. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other)
  return sorted[Math.max(Math.ceil(share * sorted.length) - 1, 0)] ?? Number.NaN
}

/** The cases, of which the last one to be closed closes what they share. */
export function sharing(
  stack: AsyncDisposableStack,
  cases: readonly Omit<BenchCase, 'close'>[],
): BenchCase[] {
  const kept = stack.move()
  let open = cases.length
  return cases.map((each) => ({
    ...each,
    async close() {
      open -= 1
      if (open === 0) await kept.disposeAsync()
    },
  }))
}
