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

/** Counts only messages with a known outcome. A canceled message has none. */
export function targetsOf(counts: Counts): readonly Target[] {
  const { deliveredAtFirst, deliveredByRetry, failed, failedAfterRetry, retried, retries } = counts
  const delivered = deliveredAtFirst + deliveredByRetry
  return [
    target(
      'delivered',
      'messages that are delivered or have failed for good',
      { above: 0.99 },
      delivered,
      delivered + failed,
    ),
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
