// Spreads the retries of a bulk action over time.
import { addSeconds } from '../delivery/seconds.ts'

/**
 * Of the send rate, the other half is left for other messages. pg-boss takes the oldest due job first, so retries that were
 * all due now would delay every newer message.
 */
const SHARE_OF_SEND_RATE = 0.5
/** Without a send rate. */
const DEFAULT_RETRIES_PER_SECOND = 50

export function retriesPerSecond(sendRatePerSecond: number | null): number {
  return sendRatePerSecond === null ? DEFAULT_RETRIES_PER_SECOND : sendRatePerSecond * SHARE_OF_SEND_RATE
}

interface PacedAction {
  readonly start: { readonly at: Date }
  readonly retriesPerSecond: number
}

/** The due times of the retries, one after another. */
export class RetryPace {
  readonly #from: Date
  readonly #perSecond: number
  #taken = 0

  /** @param alreadyChanged how many were retried since the start of the action. It continues where its last run ended */
  constructor({ start, retriesPerSecond: perSecond }: PacedAction, alreadyChanged: number, now: Date) {
    const planned = addSeconds(start.at, alreadyChanged / perSecond)
    this.#from = planned > now ? planned : now
    this.#perSecond = perSecond
  }

  /** When the next retry is due. */
  next(): Date {
    return addSeconds(this.#from, (this.#taken + 1) / this.#perSecond)
  }

  take(): void {
    this.#taken += 1
  }
}
