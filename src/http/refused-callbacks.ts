// Counts refused callbacks that certainly came from Twilio: their URL has the random key of the message that it names. So a
// wrong token or a wrong account raises an alarm, and forged requests cannot.
import { isInserted } from '../db/messages.ts'
import type { Runtime } from '../processes/runtime.ts'
import { errorFields } from '../shared/log.ts'
import { parseKeyedMessage } from '../twilio/status-callback.ts'
import type { Refusal } from './callback-result.ts'

/** A flood of forged requests must not reach the database. It only delays the count of genuine ones. */
const LOOKUP_EVERY_MS = 500
const MAX_LOOKUPS_TOGETHER = 10

const MAY_BE_GENUINE: ReadonlySet<Refusal> = new Set(['bad_signature', 'body_already_read', 'other_account'])

export class RefusedCallbacks {
  readonly #runtime: Pick<Runtime, 'database' | 'logger' | 'metrics'>
  /** Lookups that may be made now: one more every LOOKUP_EVERY_MS. */
  #lookups = MAX_LOOKUPS_TOGETHER
  #countedMs = performance.now()

  constructor(runtime: Pick<Runtime, 'database' | 'logger' | 'metrics'>) {
    this.#runtime = runtime
  }

  /** Does not delay the answer. */
  add(refusal: Refusal, search: string): void {
    if (!MAY_BE_GENUINE.has(refusal)) return
    const message = parseKeyedMessage(search)
    if (message === null || !this.#takeLookup()) return
    const { database, logger, metrics } = this.#runtime
    isInserted(database, message.messageId, message.key).then(
      (isGenuine) => {
        if (isGenuine) metrics.activity.refused(`${message.messageId}`)
      },
      (error: unknown) => logger.debug('Could not check a refused callback', errorFields(error)),
    )
  }

  #takeLookup(): boolean {
    const nowMs = performance.now()
    const earned = (nowMs - this.#countedMs) / LOOKUP_EVERY_MS
    this.#lookups = Math.min(this.#lookups + earned, MAX_LOOKUPS_TOGETHER)
    this.#countedMs = nowMs
    if (this.#lookups < 1) return false
    this.#lookups -= 1
    return true
  }
}
