// What retries cost as text: in segments, and in money where the price of a segment is known.

interface SegmentPrice {
  readonly amount: number
  /** ISO 4217, such as `USD`. */
  readonly unit: string
  /** The attempts whose price is known. */
  readonly attempts: number
}

/** Such as `0.0174 USD`. Prices of a segment have four decimals. */
export function money(segments: number, { amount, unit }: SegmentPrice): string {
  return `${(segments * amount).toFixed(4)} ${unit}`
}

export function priceWords({ amount, unit, attempts }: SegmentPrice): string {
  return `A segment costs ${amount.toFixed(5)} ${unit} on average, by the price of ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'} that Twilio was asked for.`
}
