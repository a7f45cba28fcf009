// The most that a policy can reach if it knows only the error code: it retries all messages with a code, or none of them.
// At best, it recovers all of those that could be delivered.
import { isPossible, isUnprocessed } from './figures.ts'
import type { VirtualMessage } from './virtual-month.ts'

export interface CodeLimit {
  readonly code: number | null
  /** Messages whose first attempt failed with this code. */
  readonly failed: number
  /** Of these, the messages that could be delivered. */
  readonly possible: number
}

/** The codes by their number of failed messages, without requests that Twilio did not process. */
export function codeLimitsOf(month: readonly VirtualMessage[]): readonly CodeLimit[] {
  const limits = new Map<number | null, CodeLimit>()
  for (const truth of month) {
    if (truth.cause === null || isUnprocessed(truth)) continue
    const { code } = truth
    const { failed, possible } = limits.get(code) ?? { failed: 0, possible: 0 }
    limits.set(code, { code, failed: failed + 1, possible: possible + (isPossible(truth) ? 1 : 0) })
  }
  return [...limits.values()].toSorted((one, other) => other.failed - one.failed)
}

/** The codes that a policy retries, and the most that it can reach. */
export interface CodeChoice {
  readonly codes: readonly (number | null)[]
  /** Of the messages that could be delivered. */
  readonly delivered: number
  readonly retrySuccess: number
}

export interface CodeBounds {
  /** Of the choices with a retry success above the wanted one, the choice that delivers most. */
  readonly mostDelivered: CodeChoice | null
  /** Of the choices that deliver more than the wanted share, the choice with the highest retry success. */
  readonly highestSuccess: CodeChoice | null
}

/** Compares all choices of codes, because taking the codes by their shares one after the other can miss the best. */
export function codeBoundsOf(
  month: readonly VirtualMessage[],
  wanted: { readonly delivered: number; readonly retrySuccess: number },
): CodeBounds {
  const choices = choicesOf(month)
  return {
    mostDelivered: highest(
      choices.filter(({ retrySuccess }) => retrySuccess > wanted.retrySuccess),
      ({ delivered }) => delivered,
    ),
    highestSuccess: highest(
      choices.filter(({ delivered }) => delivered > wanted.delivered),
      ({ retrySuccess }) => retrySuccess,
    ),
  }
}

/** All choices of at least one code. A code whose messages can never be delivered is never worth a retry. */
function choicesOf(month: readonly VirtualMessage[]): readonly CodeChoice[] {
  const limits = codeLimitsOf(month).filter(({ possible }) => possible > 0)
  const possible = month.filter(isPossible).length
  const withoutRetries = possible - total(limits, 'possible')
  return Array.from({ length: 2 ** limits.length - 1 }, (_, choice) => {
    const chosen = limits.filter((_limit, i) => ((choice + 1) & (1 << i)) !== 0)
    const recovered = total(chosen, 'possible')
    return {
      codes: chosen.map(({ code }) => code),
      delivered: (withoutRetries + recovered) / possible,
      retrySuccess: recovered / total(chosen, 'failed'),
    }
  })
}

function total(limits: readonly CodeLimit[], field: 'failed' | 'possible'): number {
  return limits.reduce((sum, limit) => sum + limit[field], 0)
}

function highest(
  choices: readonly CodeChoice[],
  figureOf: (choice: CodeChoice) => number,
): CodeChoice | null {
  return choices.reduce<CodeChoice | null>(
    (best, choice) => (best === null || figureOf(choice) > figureOf(best) ? choice : best),
    null,
  )
}
