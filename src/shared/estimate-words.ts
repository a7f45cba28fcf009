// Estimates of messages, retries and segments as text.
import { count } from './figures.ts'

interface Estimate {
  readonly estimate: number
  readonly low: number
  readonly high: number
}

// Adding 0 turns a rounded -0 into 0.
const whole = (value: number): string => count(Math.round(value) + 0)

/** Such as `290 (147 to 448)`; only the number if it is certain. */
export function formatEstimate({ estimate, low, high }: Estimate, format = whole): string {
  const [middle, from, to] = [estimate, low, high].map(format)
  return from === to ? `${middle}` : `${middle} (${from} to ${to})`
}

/** With a plus sign if it is more. */
export function formatGain(gain: Estimate): string {
  const text = formatEstimate(gain)
  return gain.estimate >= 0.5 ? `+${text}` : text
}
