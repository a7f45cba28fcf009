// Isotonic regression of shares: pools neighbours until the share does not fall from one to the next (pool adjacent
// violators). Source: R. E. Barlow et al., Statistical Inference under Order Restrictions (1972).

/** Successes of independent trials. */
export interface Counts {
  readonly successes: number
  readonly trials: number
}

/** For each group, in order, the counts of the pool that it belongs to. Groups of one pool have the same object. */
export function poolViolators(groups: readonly Counts[]): readonly Counts[] {
  const pools: { counts: Counts; size: number }[] = []
  for (const group of groups) {
    let pool = { counts: group, size: 1 }
    for (
      let last = pools.at(-1);
      last !== undefined && falls(last.counts, pool.counts);
      last = pools.at(-1)
    ) {
      pools.pop()
      pool = { counts: sum(last.counts, pool.counts), size: last.size + pool.size }
    }
    pools.push(pool)
  }
  return pools.flatMap(({ counts, size }) => Array.from({ length: size }, () => counts))
}

/** Compares products, because a group without trials has no share. */
const falls = (one: Counts, next: Counts): boolean =>
  one.successes * next.trials > next.successes * one.trials

const sum = (one: Counts, other: Counts): Counts => ({
  successes: one.successes + other.successes,
  trials: one.trials + other.trials,
})
