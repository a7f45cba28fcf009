// The targets for all messages together (delivered share, retry success, average retries), and whether they are met.

/** Counts of messages; see db/overview.ts. */
interface Counts {
  readonly deliveredAtFirst: number
  readonly deliveredByRetry: number
  readonly failed: number
  readonly failedAfterRetry: number
  readonly retried: number
  readonly retries: number
}

export interface Target {
  readonly name: 'delivered' | 'retry success' | 'average retries'
  /** The messages that the share or the mean is taken over, for a person. */
  readonly of: string
  readonly wanted: { readonly above: number } | { readonly below: number }
  /** Null while there are no such messages. */
  readonly value: number | null
  readonly isMet: boolean | null
}

/**
 * The delivered share: its numerator and its denominator. This is the only definition of it. Only messages with a known
 * outcome count. A canceled message has none.
 */
export function deliveredShare({
  deliveredAtFirst,
  deliveredByRetry,
  failed,
}: Pick<Counts, 'deliveredAtFirst' | 'deliveredByRetry' | 'failed'>): { part: number; whole: number } {
  const delivered = deliveredAtFirst + deliveredByRetry
  return { part: delivered, whole: delivered + failed }
}

/** Each counts only messages with a known outcome. */
export function targetsOf(counts: Counts): readonly Target[] {
  const { deliveredByRetry, failedAfterRetry, retried, retries } = counts
  const { part, whole } = deliveredShare(counts)
  return [
    target('delivered', 'messages that are delivered or have failed for good', { above: 0.99 }, part, whole),
    target(
      'retry success',
      'retried messages that are delivered or have failed for good',
      { above: 0.8 },
      deliveredByRetry,
      deliveredByRetry + failedAfterRetry,
    ),
    target('average retries', 'messages that were retried', { below: 1.5 }, retries, retried),
  ]
}

function target(
  name: Target['name'],
  of: string,
  wanted: Target['wanted'],
  part: number,
  whole: number,
): Target {
  if (whole === 0) return { name, of, wanted, value: null, isMet: null }
  const value = part / whole
  return { name, of, wanted, value, isMet: 'above' in wanted ? value > wanted.above : value < wanted.below }
}
