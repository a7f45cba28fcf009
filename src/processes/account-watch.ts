// Stops a worker's polling while the account is on hold or sending is paused, and makes the probes that end a hold. A claim
// reads the same state in its own transaction, so nothing is submitted before this watch has noticed either.
import { setTimeout as sleep } from 'node:timers/promises'
import { readAccountState, returnProbe, takeProbe } from '../db/account-row.ts'
import {
  type AccountState,
  type Hold,
  isProbeDue,
  maxProbeDelaySeconds,
  probeDelaySeconds,
  stopReason,
} from '../delivery/account-state.ts'
import type { AttemptJob, FailedJobs, Polling } from '../jobs/queue.ts'
import type { AttemptDeps, AttemptRunner } from '../messages/run-attempts.ts'
import { errorFields, throttledLog } from '../shared/log.ts'

const CHECK_EVERY_MS = 500
const LOG_AGAIN_AFTER_MS = 60_000

export class AccountWatch {
  readonly #deps: AttemptDeps
  readonly #polling: Polling
  readonly #runner: AttemptRunner
  readonly #stopping = new AbortController()
  readonly #running: Promise<void>
  /** Why the polling is paused; null while it runs. Undefined until the first check, which starts the polling. */
  #reason: string | null | undefined

  constructor(deps: AttemptDeps, polling: Polling, runner: AttemptRunner) {
    this.#deps = deps
    this.#polling = polling
    this.#runner = runner
    this.#running = this.#run()
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    const { logger } = this.#deps
    const logFailure = throttledLog((message, fields) => logger.error(message, fields), LOG_AGAIN_AFTER_MS)
    while (!signal.aborted) {
      // A failure says nothing about the account, so the polling stays as it is.
      await this.#check().catch((error: unknown) =>
        logFailure('Could not check whether sending is on hold or paused', errorFields(error)),
      )
      // Rejects only when the watch is stopped.
      await sleep(CHECK_EVERY_MS, undefined, { signal }).catch(() => undefined)
    }
  }

  async #check(): Promise<void> {
    const { database, policy } = this.#deps
    const { state, now } = await readAccountState(database)
    await this.#pauseOrResume(state)
    const { hold, pause } = state
    if (hold !== null && pause === null && isProbeDue(hold, now, policy.delayScale)) await this.#probe(hold)
  }

  async #pauseOrResume(state: AccountState): Promise<void> {
    if (this.#stopping.signal.aborted) return
    const reason = stopReason(state)
    if (reason === this.#reason) return
    if (reason === null) {
      await this.#polling.resume()
      if (this.#reason !== undefined) this.#deps.logger.info('Sending resumes')
    } else {
      await this.#polling.pause()
      this.#deps.logger[state.pause === null ? 'error' : 'warn'](reason)
    }
    this.#reason = reason
  }

  /**
   * Makes one probe, with the first due attempt that can be submitted. Those before it are expired, wait for their send
   * window, or cannot be claimed.
   */
  async #probe({ probes }: Hold): Promise<void> {
    const { database, policy, twilio } = this.#deps
    const probe = probes + 1
    const delaySeconds = probeDelaySeconds(probe, policy.delayScale)
    await twilio.ready()
    let isTaken = false
    let isSubmitted = false
    const submit = async ([job]: readonly AttemptJob[]): Promise<FailedJobs> => {
      // Taken with the first job: without one, there is nothing to probe with.
      isTaken ||= await takeProbe(database, probes, delaySeconds, maxProbeDelaySeconds(policy.delayScale))
      if (!isTaken) throw new Error('Another worker makes this probe')
      if (job !== undefined) isSubmitted = await this.#runner.probe(job, probe)
      return new Map()
    }
    try {
      let isFound = await this.#polling.handleOne(submit)
      while (isFound && isTaken && !isSubmitted && (await this.#isProbing(probe))) {
        isFound = await this.#polling.handleOne(submit)
      }
    } finally {
      if (isTaken && !isSubmitted) await returnProbe(database, probe)
    }
  }

  /** Whether probe number `probe` is still to be made. */
  async #isProbing(probe: number): Promise<boolean> {
    if (this.#stopping.signal.aborted) return false
    const { hold, pause } = (await readAccountState(this.#deps.database)).state
    return hold?.probes === probe && pause === null
  }

  /** Waits for the running check. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }
}
