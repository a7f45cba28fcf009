// The worker process: makes the attempts that are due, until it is told to stop.
import { AttemptRunner } from './run-attempts.ts'
import { type Runtime, startRuntimeQueue } from './runtime.ts'
import { createTwilioClient, MOST_REQUESTS_AT_ONCE } from './twilio/client.ts'

export interface RunningWorker {
  /** Takes no further attempt, waits for the requests under way and records their answers. */
  stop(): Promise<void>
}

const BATCH_SIZE = 25
const STOP_TIMEOUT_MS = 12_000

/**
 * Takes the runtime over: closes its database if it cannot start, and when the worker is stopped.
 *
 * @throws DatabaseError or SchemaError if it cannot start
 */
export async function runWorker(runtime: Runtime): Promise<RunningWorker> {
  const { config, database, policy, logger } = runtime
  const queue = await startRuntimeQueue(runtime, 'work')
  const twilio = createTwilioClient(config.twilio, config.publicBaseUrl)
  const deps = { database, queue, policy, logger, twilio, random: Math.random }
  const runner = new AttemptRunner(deps, MOST_REQUESTS_AT_ONCE)
  await queue.work({ batchSize: BATCH_SIZE }, (jobs) => runner.run(jobs))
  logger.info('Worker waits for due attempts')
  return {
    async stop() {
      // Both at once: the queue waits for handlers, and these may wait for room among the requests.
      await Promise.all([queue.stop(STOP_TIMEOUT_MS), runner.stop()])
      await database.close()
    },
  }
}
