// What Twilio bills for an attempt. Segments are known from its first answer, prices minutes later.

export interface Price {
  /** Of the whole attempt; positive. */
  readonly amount: number
  /** ISO 4217, such as `USD`. */
  readonly unit: string
}

/** Null for what Twilio has not stated. */
export interface Billing {
  readonly segments: number | null
  readonly price: Price | null
}

/** The same object if `learned` has nothing new. The result does not depend on the order of Twilio's statements. */
export function withBilling<Known extends Billing>(known: Known, learned: Billing | undefined): Known {
  if (learned === undefined) return known
  const segments = Math.max(known.segments ?? 0, learned.segments ?? 0) || null
  const price =
    learned.price !== null && learned.price.amount > (known.price?.amount ?? -1) ? learned.price : known.price
  return segments === known.segments && price === known.price ? known : { ...known, segments, price }
}
