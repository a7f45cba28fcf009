// The worker process: sends due attempts and reconciles overdue messages until it is stopped.
import { setTimeout as sleep } from 'node:timers/promises'
import { reserveSends } from '../db/send-rate.ts'
import type { Db } from '../postgres/pool.ts'
import { DueWatch } from '../jobs/due-watch.ts'
import { AccountWatch } from './account-watch.ts'
import { Instance } from './instance.ts'
import { errorFields } from '../shared/log.ts'
import { reconcile } from '../messages/reconcile.ts'
import { type AttemptDeps, AttemptRunner, type RateLimit } from '../messages/run-attempts.ts'
import type { Queue } from '../jobs/queue.ts'
import type { Receiver } from '../jobs/outcome-job.ts'
import { deliverOutcomes, type Receive } from '../outcomes/deliver-outcomes.ts'
import type { Outcome } from '../outcomes/outcome-event.ts'
import { createOutcomeWebhook } from '../outcomes/webhook.ts'
import { type Options, recordingOf, type Runtime, startRuntimeQueue } from './runtime.ts'
import { WORK_STOP_TIMEOUT_MS } from './stop-timeouts.ts'
import { createTwilioClient } from '../twilio/client.ts'

export interface WorkerOptions extends Options {
  /**
   * Called with each outcome, once or more often: do its work once for each `outcome.id`. If it rejects, or takes longer
   * than 30 seconds, it is called again: after about 10 seconds, then after twice as long each time, ten times in about
   * three hours. After that, `sms-retry outcomes --failed` lists the outcome. Needs `outcomeEvents` in every process.
   */
  readonly onOutcome?: (outcome: Outcome) => unknown
  /** Calls of `onOutcome` at the same time in this process; 1 to 1000. Default: 10. */
  readonly outcomeConcurrency?: number
  /**
   * Outcomes that are taken from the queue together; 1 to `outcomeConcurrency`. All of them end before the next ones are
   * taken. Default: 5.
   */
  readonly outcomeBatchSize?: number
}

export interface RunningWorker {
  /** Starts no further attempts, waits for running requests, records their answers, and closes the database. */
  stop(): Promise<void>
}

/** Short enough to look up an attempt in doubt within a minute after its claim. */
const SWEEP_SECONDS = 5
const MIN_SWEEP_SECONDS = 1

/**
 * Takes ownership of the runtime: closes its database on `stop()`, or if the start fails.
 *
 * @throws DatabaseError or SchemaError if it cannot start
 */
export async function runWorker(
  runtime: Runtime,
  onOutcome: WorkerOptions['onOutcome'] = undefined,
): Promise<RunningWorker> {
  const { config, database, policy, logger } = runtime
  const queue = await startRuntimeQueue(runtime, 'work')
  const twilio = createTwilioClient(config.twilio, config.publicBaseUrl)
  const deps = { ...recordingOf(runtime, queue), twilio }
  const { sendRatePerSecond } = config
  const rateLimit = sendRatePerSecond === null ? null : createRateLimit(database, sendRatePerSecond)
  const { concurrency } = config.twilio
  const runner = new AttemptRunner(deps, concurrency, rateLimit)
  const sweeper = new Sweeper(deps)
  const batchSize = batchSizeFor(concurrency, sendRatePerSecond)
  const polling = queue.work({ batchSize }, (jobs) => runner.run(jobs))
  const dueWatch = new DueWatch(database, () => polling.wake(), logger)
  const accountWatch = new AccountWatch(deps, polling, runner)
  const everySeconds = Math.max(Math.ceil(SWEEP_SECONDS * policy.delayScale), MIN_SWEEP_SECONDS)
  await queue.sweep({ everySeconds }, () => sweeper.sweep())
  // Attempts that were running when the last worker died need not wait for the next sweep.
  void sweeper.sweep()
  const courier = await startCourier(runtime, queue, onOutcome)
  const instance = new Instance(runtime, 'worker', courier !== null)
  await instance.start()
  logger.info('Worker waits for due attempts')
  return {
    async stop() {
      // Concurrently: the queue waits for its handlers, and a handler may wait for the runner.
      await Promise.all([
        // First: the watch must not resume the polling of a stopped queue.
        accountWatch.stop(),
        queue.stop(WORK_STOP_TIMEOUT_MS),
        runner.stop(),
        sweeper.stop(),
        dueWatch.stop(),
      ])
      await courier?.close()
      await instance.stop()
      await database.close()
      logger.info('Worker has stopped')
    },
  }
}

/** Delivers outcomes, if this worker has a receiver for them. Null if not. */
async function startCourier(
  { config, database, logger, metrics }: Runtime,
  queue: Queue,
  onOutcome: WorkerOptions['onOutcome'],
): Promise<{ close(): Promise<void> } | null> {
  const { isOn, webhook: target, concurrency, batchSize } = config.outcomes
  const receivers = new Map<Receiver, Receive>()
  const webhook = target === null ? null : await createOutcomeWebhook(target)
  if (onOutcome !== undefined) receivers.set('handler', onOutcome)
  if (webhook !== null) receivers.set('webhook', (outcome) => webhook.post(outcome))
  if (receivers.size === 0) return null
  if (!isOn) logger.warn('onOutcome is not called while OUTCOME_EVENTS is not true: set it in every process')
  const deps = { database, logger, metrics, receivers }
  await queue.outcomes.work({ concurrency, batchSize }, (due) => deliverOutcomes(deps, due))
  return { close: async () => webhook?.close() }
}

/** Runs one sweep at a time. `stop` waits for the current one. */
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
 * With a rate limit, a batch has the jobs of half a second, so other workers get jobs as well. pg-boss pauses after each
 * batch, so only rates below one per second get batches of one.
 */
function batchSizeFor(concurrency: number, perSecond: number | null): number {
  // While the requests of one half are running, the worker claims the next half.
  const half = Math.ceil(concurrency / 2)
  if (perSecond === null) return half
  return perSecond < 1 ? 1 : Math.min(Math.max(Math.floor(perSecond / 2), 2), half)
}

/** All workers share the limit through the database. The attempts of a tenth of a second start together. */
function createRateLimit(db: Db, perSecond: number): RateLimit {
  return {
    maxTogether: Math.max(Math.floor(perSecond / 10), 1),
    async wait(attempts, signal) {
      const seconds = await reserveSends(db, attempts, perSecond)
      await sleep(seconds * 1000, undefined, { signal })
    },
  }
}
