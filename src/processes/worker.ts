// The worker process: sends due attempts and reconciles overdue messages until it is stopped.
import { setTimeout as sleep } from 'node:timers/promises'
import { reserveSends } from '../db/send-rate.ts'
import type { Db } from '../postgres/pool.ts'
import { DueWatch } from '../jobs/due-watch.ts'
import { Instance } from './instance.ts'
import { errorFields } from '../shared/log.ts'
import { reconcile } from '../messages/reconcile.ts'
import { type AttemptDeps, AttemptRunner, type RateLimit } from '../messages/run-attempts.ts'
import { recordingOf, type Runtime, startRuntimeQueue } from './runtime.ts'
import { WORK_STOP_TIMEOUT_MS } from './stop-timeouts.ts'
import { createTwilioClient } from '../twilio/client.ts'

export interface RunningWorker {
  /** Starts no further attempts, waits for running requests, records their answers, and closes the database. */
  stop(): Promise<void>
}

/** Attempts in doubt are looked up within a minute after their claim. */
const SWEEP_SECONDS = 5
const MIN_SWEEP_SECONDS = 1

/**
 * Takes over the runtime: closes its database if it cannot start, and when the worker is stopped.
 *
 * @throws DatabaseError or SchemaError if it cannot start
 */
export async function runWorker(runtime: Runtime): Promise<RunningWorker> {
  const { config, database, policy, logger } = runtime
  const queue = await startRuntimeQueue(runtime, 'work')
  const twilio = createTwilioClient(config.twilio, config.publicBaseUrl)
  const deps = { ...recordingOf(runtime, queue), twilio }
  const pace = config.sendRatePerSecond === null ? null : paceOf(database, config.sendRatePerSecond)
  const { concurrency } = config.twilio
  const runner = new AttemptRunner(deps, concurrency, pace)
  const sweeper = new Sweeper(deps)
  const batchSize = batchSizeFor(concurrency, config.sendRatePerSecond)
  const wake = await queue.work({ batchSize }, (jobs) => runner.run(jobs))
  const dueWatch = new DueWatch(database, wake, logger)
  const everySeconds = Math.max(Math.ceil(SWEEP_SECONDS * policy.delayScale), MIN_SWEEP_SECONDS)
  await queue.sweep({ everySeconds }, () => sweeper.sweep())
  // Attempts that were running when the last worker died need not wait for the next sweep.
  void sweeper.sweep()
  const instance = new Instance(runtime, 'worker')
  await instance.start()
  logger.info('Worker waits for due attempts')
  return {
    async stop() {
      // Concurrently: the queue waits for its handlers, and a handler may wait for the runner.
      await Promise.all([queue.stop(WORK_STOP_TIMEOUT_MS), runner.stop(), sweeper.stop(), dueWatch.stop()])
      await instance.stop()
      await database.close()
      logger.info('Worker has stopped')
    },
  }
}

/** Runs one sweep after the other, and knows when the last one has ended. */
class Sweeper {
  readonly #deps: AttemptDeps
  readonly #stopping = new AbortController()
  #last: Promise<void> = Promise.resolve()

  constructor(deps: AttemptDeps) {
    this.#deps = deps
  }

  sweep(): Promise<void> {
    this.#last = this.#last.then(async () => {
      if (this.#stopping.signal.aborted) return
      try {
        await reconcile(this.#deps, this.#stopping.signal)
      } catch (error) {
        this.#deps.logger.error('Could not reconcile overdue messages', errorFields(error))
      }
    })
    return this.#last
  }

  /** Starts no further page; resolves when the current one is done. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#last
  }
}

/**
 * Jobs for half a second; the rest is left to other workers. Only low rates get batches of one, because pg-boss pauses after
 * each batch.
 */
function batchSizeFor(concurrency: number, perSecond: number | null): number {
  // While the requests of one half are running, the worker claims the next half.
  const half = Math.ceil(concurrency / 2)
  if (perSecond === null) return half
  return perSecond < 1 ? 1 : Math.min(Math.max(Math.floor(perSecond / 2), 2), half)
}

/** The attempts of a tenth of a second start together. */
function paceOf(db: Db, perSecond: number): RateLimit {
  return {
    maxTogether: Math.max(Math.floor(perSecond / 10), 1),
    async wait(attempts, signal) {
      const seconds = await reserveSends(db, attempts, perSecond)
      await sleep(seconds * 1000, undefined, { signal })
    },
  }
}
