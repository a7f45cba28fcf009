// Compares the means and variances of the draws with those of their distributions.
import { expect, test } from '@jest/globals'
import { createRandom, drawBinomial, drawShares, type Random } from '../../src/evidence/random-draws.ts'

const DRAWS = 20_000

function momentsOf(draw: (random: Random) => number): { readonly mean: number; readonly variance: number } {
  const random = createRandom(1)
  const values = Array.from({ length: DRAWS }, () => draw(random))
  const mean = values.reduce((sum, value) => sum + value, 0) / DRAWS
  return { mean, variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / DRAWS }
}

test.each([
  [0, 10],
  [1, 1],
  [3, 1],
  [200, 800],
  [10, 0],
])('the shares drawn for %d successes and %d failures have the moments of their beta distributions', (x, y) => {
  for (const [end, a, b] of [['low', x, y + 1] as const, ['high', x + 1, y] as const]) {
    const { mean, variance } = momentsOf((random) => drawShares(x, y, random)[end])
    const expected = (a * b) / ((a + b) ** 2 * (a + b + 1))
    expect(Math.abs(mean - a / (a + b))).toBeLessThanOrEqual(5 * Math.sqrt(expected / DRAWS))
    expect(Math.abs(variance - expected)).toBeLessThanOrEqual(0.1 * expected)
  }
})

test.each([
  [1, 0.3],
  [20, 0.5],
  [1000, 0.005],
  [1000, 0.997],
  [5000, 0.2],
])('binomial draws of %d trials with the share %d have the mean and variance of the distribution', (n, p) => {
  const { mean, variance } = momentsOf((random) => drawBinomial(n, p, random))
  const expected = n * p * (1 - p)
  expect(Math.abs(mean - n * p)).toBeLessThan(5 * Math.sqrt(expected / DRAWS))
  expect(variance / expected).toBeGreaterThan(0.9)
  expect(variance / expected).toBeLessThan(1.1)
})

test('binomial draws stay between none and all, and are exact for the shares 0 and 1', () => {
  const random = createRandom(2)
  const drawn = Array.from({ length: 1000 }, () => drawBinomial(3, 0.6, random))
  expect(new Set(drawn)).toEqual(new Set([0, 1, 2, 3]))
  expect([drawBinomial(7, 0, random), drawBinomial(7, 1, random), drawBinomial(0, 0.5, random)]).toEqual([
    0, 7, 0,
  ])
})
