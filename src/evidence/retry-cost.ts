// What the retries of an error code cost for each message that they recovered.

/** Retries that followed a failure, and the messages that they belong to. */
export interface RetryFigures {
  /** Retries that were made, whatever came of them. */
  readonly retries: number
  /** The segments that Twilio billed for these retries, as far as they are known. */
  readonly segments: number
  /** Of these retries, the ones whose segments are unknown. */
  readonly segmentsUnknown: number
  /** Of the messages, the ones that were delivered in the end. */
  readonly recovered: number
}

/** What a segment costs on average. */
export interface SegmentPrice {
  readonly amount: number
  /** ISO 4217, such as `USD`. */
  readonly unit: string
  /** The attempts whose price is known. */
  readonly attempts: number
}

/**
 * The segments of the retries for each recovered message. A retry whose segments are unknown counts as many as the others
 * have on average.
 *
 * @returns null if no message was recovered, or if no retry has known segments
 */
export function segmentsPerRecovered(figures: RetryFigures): number | null {
  const { retries, segments, segmentsUnknown, recovered } = figures
  const known = retries - segmentsUnknown
  return known === 0 || recovered === 0 ? null : ((segments / known) * retries) / recovered
}

/** Such as `0.0174 USD`. Prices of a segment have four decimals. */
export function money(segments: number, { amount, unit }: SegmentPrice): string {
  return `${(segments * amount).toFixed(4)} ${unit}`
}

export function priceWords({ amount, unit, attempts }: SegmentPrice): string {
  return `A segment costs ${amount.toFixed(5)} ${unit} on average, by the price of ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'} that Twilio was asked for.`
}
