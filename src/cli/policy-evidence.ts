// The parts that `policy --replay` and `policy --advise` print alike: estimates, and the messages that say nothing.
import { MAX_HISTORY } from '../db/read-history.ts'
import { type History, openRetriesOf } from '../evidence/history.ts'
import type { Estimate } from '../evidence/replay.ts'
import { count } from '../shared/figures.ts'
import { printStatus } from '../shared/output.ts'

export function roundEstimate({ estimate, low, high }: Estimate): Estimate {
  const [middle = 0, from = 0, to = 0] = [estimate, low, high].map(
    (value) => Math.round(value * 100) / 100 + 0,
  )
  return { estimate: middle, low: from, high: to }
}

export function roundEstimates<Key extends string>(
  estimates: Readonly<Record<Key, Estimate>>,
): Record<string, Estimate> {
  return Object.fromEntries(
    Object.entries<Estimate>(estimates).map(([key, value]) => [key, roundEstimate(value)]),
  )
}

/** A share of open retries that can move an estimate by more than its interval. */
const MANY_OPEN = 0.05

/** To stderr. */
export function printLeftOut(history: History): void {
  const { isComplete, leftOut } = history
  const { account, corrected, untimed, byHand } = leftOut
  if (!isComplete) printStatus(`Only the newest ${count(MAX_HISTORY)} messages with failures were read.`)
  const reasons = [
    [account, 'only the account failed'],
    [corrected, 'reported as failed, then as delivered'],
    [untimed, 'the row has no times of its attempts'],
  ] as const
  const named = reasons
    .filter(([messages]) => messages > 0)
    .map(([messages, why]) => `${count(messages)} (${why})`)
  if (named.length > 0) printStatus(`Messages left out: ${named.join(', ')}.`)
  if (byHand > 0)
    printStatus(`${count(byHand)} messages count only up to a retry that was requested manually.`)
  const { open, retries } = openRetriesOf(history)
  if (open > retries * MANY_OPEN)
    printStatus(
      `${count(open)} of ${count(retries)} retries have no final report yet, and are left out. If failures are reported later than deliveries, the estimates are too high. A longer --since reduces this.`,
    )
}
