// Wilson's score interval for a share of successes. Unlike the usual approximation, it stays between 0 and 1 and holds for
// few trials and for shares near 0 and 1. Source: E. B. Wilson (1927), Journal of the American Statistical Association 22.

export interface Interval {
  readonly low: number
  readonly high: number
}

/**
 * The interval that contains the true share with this confidence; from 0 to 1 without trials.
 *
 * @throws RangeError if the counts or the confidence are impossible
 */
export function wilsonInterval(successes: number, trials: number, confidence = 0.9): Interval {
  if (!(successes >= 0 && successes <= trials)) throw new RangeError(`${successes} of ${trials} is no share`)
  if (!(confidence > 0 && confidence < 1)) throw new RangeError(`${confidence} is no confidence`)
  if (trials === 0) return { low: 0, high: 1 }
  const z = quantile((1 + confidence) / 2)
  const share = successes / trials
  const scale = 1 + z ** 2 / trials
  const middle = (share + z ** 2 / (2 * trials)) / scale
  const margin = (z / scale) * Math.sqrt((share * (1 - share)) / trials + z ** 2 / (4 * trials ** 2))
  // Rounding must not move the two ends that are exact.
  return {
    low: successes === 0 ? 0 : middle - margin,
    high: successes === trials ? 1 : middle + margin,
  }
}

/**
 * The quantile of the standard normal distribution, for a probability of at least 0.5. Newton's method converges from
 * below, because the distribution is concave there.
 */
function quantile(probability: number): number {
  for (let z = 0; ; ) {
    const density = Math.exp(-(z ** 2) / 2) / Math.sqrt(2 * Math.PI)
    const step = (probability - 0.5 - density * areaFromZero(z)) / density
    if (!(step > 1e-12)) return z
    z += step
  }
}

/** The area under the density between 0 and z, divided by the density at z. Source: G. Marsaglia (2004). */
function areaFromZero(z: number): number {
  let sum = 0
  for (let term = z, n = 1; sum + term !== sum; n += 2) {
    sum += term
    term *= z ** 2 / (n + 2)
  }
  return sum
}
