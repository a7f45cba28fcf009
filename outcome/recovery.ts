// When the cause of a failure ends. Each curve is data, so that a test and another mix can state their own.
import { nextTimeOnClock } from '../src/delivery/time-on-clock.ts'
import type { Random } from '../src/simulator/seeded-random.ts'

export type Recovery =
  /**
   * Each part is an exponential with this mean; a mean of 0 has ended by the next attempt. The shares sum to at most 1. The
   * rest never ends.
   */
  | {
      readonly kind: 'mixture'
      readonly parts: readonly { readonly share: number; readonly meanMinutes: number }[]
    }
  | { readonly kind: 'log_normal'; readonly medianMinutes: number; readonly sigma: number }
  /** The limit is lifted at this time of day. */
  | { readonly kind: 'time_of_day'; readonly time: string; readonly timeZone: string }
  | { readonly kind: 'never' }

/** Milliseconds from `failedAtMs`, when the failure was reported, until its cause ends. Infinity for never. */
export function drawRecoveryMs(recovery: Recovery, failedAtMs: number, random: Random): number {
  switch (recovery.kind) {
    case 'never':
      return Number.POSITIVE_INFINITY
    case 'log_normal':
      return minutes(drawLogNormal(recovery.medianMinutes, recovery.sigma, random))
    case 'time_of_day':
      return nextTimeOnClock(new Date(failedAtMs), recovery.time, recovery.timeZone).getTime() - failedAtMs
    case 'mixture':
      return minutes(drawMixture(recovery.parts, random))
  }
}

function drawMixture(parts: Extract<Recovery, { kind: 'mixture' }>['parts'], random: Random): number {
  let left = random()
  const exponential = -Math.log(1 - random())
  for (const { share, meanMinutes } of parts) {
    if (left < share) return meanMinutes * exponential
    left -= share
  }
  return Number.POSITIVE_INFINITY
}

/** Box-Muller: two uniform numbers give one normal one. */
export function drawLogNormal(median: number, sigma: number, random: Random): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random()))
  return median * Math.exp(sigma * radius * Math.cos(2 * Math.PI * random()))
}

const minutes = (n: number): number => n * 60_000
