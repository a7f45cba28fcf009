// Stops a worker's polling while the account is on hold or sending is paused, and makes the probes that end a hold. A claim
// reads the same state in its own transaction, so nothing is submitted before this watch has noticed either.
import { setTimeout as sleep } from 'node:timers/promises'
import { readAccountState, returnProbe, takeProbe } from '../db/account-row.ts'
import {
  describeHold,
  describePause,
  type AccountState,
  probeDelaySeconds,
} from '../delivery/account-state.ts'
import type { AttemptJob, Polling } from '../jobs/queue.ts'
import type { AttemptDeps, AttemptRunner } from '../messages/run-attempts.ts'
import { errorFields } from '../shared/log.ts'

const CHECK_EVERY_MS = 500

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
    while (!signal.aborted) {
      // A failure says nothing about the account, so the polling stays as it is.
      await this.#check().catch((error: unknown) => {
        this.#deps.logger.debug('Could not check the state of the account', errorFields(error))
      })
      // Rejects only when the watch is stopped.
      await sleep(CHECK_EVERY_MS, undefined, { signal }).catch(() => undefined)
    }
  }

  async #check(): Promise<void> {
    const { state, now } = await readAccountState(this.#deps.database)
    await this.#pauseOrResume(state)
    const { hold, pause } = state
    if (hold === null || pause !== null || hold.probeAt > now) return
    await this.#polling.handleOne(async ([job]) => {
      if (job !== undefined) await this.#probe(job, hold.probes)
      return new Map()
    })
  }

  async #pauseOrResume({ hold, pause }: AccountState): Promise<void> {
    if (this.#stopping.signal.aborted) return
    const reason = pause !== null ? describePause(pause) : hold === null ? null : describeHold(hold)
    if (reason === this.#reason) return
    if (reason === null) {
      await this.#polling.resume()
      if (this.#reason !== undefined) this.#deps.logger.info('Sending resumes')
    } else {
      await this.#polling.pause()
      this.#deps.logger[pause === null ? 'error' : 'warn'](reason)
    }
    this.#reason = reason
  }

  /** If another worker took the probe first, the claim meets the hold, and the attempt is postponed. */
  async #probe(job: AttemptJob, probes: number): Promise<void> {
    const { database, policy } = this.#deps
    const probe = probes + 1
    const isTaken = await takeProbe(database, probes, probeDelaySeconds(probe, policy.delayScale))
    const isSubmitted = await this.#runner.probe(job, isTaken ? probe : null)
    if (isTaken && !isSubmitted) await returnProbe(database, probe)
  }

  /** Waits for the running check. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }
}
