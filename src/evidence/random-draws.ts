// Random draws for the intervals: shares and binomial. The same seed gives the same numbers, so that a replay can be repeated.
import type { Interval } from './wilson.ts'

/** The next number in [0, 1). */
export type Random = () => number

/** mulberry32: small, well known, 32 bits. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

function drawNormal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}

/** For a shape of at least 1, or 0. Source: G. Marsaglia, W. W. Tsang (2000). */
function drawGamma(shape: number, random: Random): number {
  if (shape === 0) return 0
  const d = shape - 1 / 3
  for (;;) {
    const x = drawNormal(random)
    const v = (1 + x / (3 * Math.sqrt(d))) ** 3
    if (v > 0 && Math.log(1 - random()) < x ** 2 / 2 + d - d * v + d * Math.log(v)) return d * v
  }
}

/**
 * The shares that could have given these counts. The low end is a draw from Beta(successes, failures + 1), the high end one
 * from Beta(successes + 1, failures): the distributions of Clopper and Pearson's exact interval. No prior moves them, so
 * without a success the low end is 0, and without a failure the high end is 1. Source: A. P. Dempster (1966).
 */
export function drawShares(successes: number, failures: number, random: Random): Interval {
  const below = drawGamma(successes, random)
  const between = drawGamma(1, random)
  const all = below + between + drawGamma(failures, random)
  return { low: below / all, high: (below + between) / all }
}

/** How many of `trials` succeed. Uses the normal approximation if at least ten are expected of both outcomes. */
export function drawBinomial(trials: number, share: number, random: Random): number {
  if (trials * Math.min(share, 1 - share) >= 10) {
    const drawn = trials * share + Math.sqrt(trials * share * (1 - share)) * drawNormal(random)
    return Math.min(Math.max(Math.round(drawn), 0), trials)
  }
  if (share > 0.5) return trials - drawBinomial(trials, 1 - share, random)
  if (share <= 0) return 0
  // The number of failures before each success is geometric, so rare successes need few draws.
  let successes = -1
  for (let used = 0; used <= trials; successes += 1) {
    used += 1 + Math.floor(Math.log(1 - random()) / Math.log(1 - share))
  }
  return successes
}
