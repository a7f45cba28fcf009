// The interval against values that others published, and its behaviour at the ends.
import { describe, expect, test } from '@jest/globals'
import { wilsonInterval } from '../../src/evidence/wilson.ts'

describe("Wilson's interval", () => {
  // R. G. Newcombe (1998), Statistics in Medicine 17, table I, method 3.
  test.each([
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
  ])('of %d successes in %d trials is the published one at 95 %%', (successes, trials, low, high) => {
    const interval = wilsonInterval(successes, trials, 0.95)
    expect(interval.low).toBeCloseTo(low, 4)
    expect(interval.high).toBeCloseTo(high, 4)
  })

  // Without a success, the upper end is z² / (n + z²). Quantiles: NIST Engineering Statistics Handbook, 1.3.6.7.1.
  test.each([
    [0.8, 1.2815516],
    [0.9, 1.6448536],
    [0.95, 1.959964],
    [0.99, 2.5758293],
    [0.9999, 3.8905919],
  ])('has the quantile of the normal distribution at a confidence of %d', (confidence, z) => {
    expect(wilsonInterval(0, 10, confidence).high).toBeCloseTo(z ** 2 / (10 + z ** 2), 7)
  })

  test('has a confidence of 90 % if none is given', () => {
    expect(wilsonInterval(3, 10)).toEqual(wilsonInterval(3, 10, 0.9))
  })

  test('is symmetrical in successes and failures', () => {
    for (let successes = 0; successes <= 12; successes += 1) {
      const { low, high } = wilsonInterval(successes, 12)
      const mirrored = wilsonInterval(12 - successes, 12)
      expect(1 - mirrored.high).toBeCloseTo(low, 12)
      expect(1 - mirrored.low).toBeCloseTo(high, 12)
      expect(low).toBeLessThanOrEqual(successes / 12)
      expect(high).toBeGreaterThanOrEqual(successes / 12)
    }
  })

  test('is exactly 0 and 1 at its ends, and everything without trials', () => {
    expect(wilsonInterval(0, 7).low).toBe(0)
    expect(wilsonInterval(7, 7).high).toBe(1)
    expect(wilsonInterval(0, 0)).toEqual({ low: 0, high: 1 })
  })

  test.each([
    [-1, 5, 0.9],
    [6, 5, 0.9],
    [Number.NaN, 5, 0.9],
    [1, 5, 0],
    [1, 5, 1],
  ])('refuses %d of %d at %d', (successes, trials, confidence) => {
    expect(() => wilsonInterval(successes, trials, confidence)).toThrow(RangeError)
  })
})
