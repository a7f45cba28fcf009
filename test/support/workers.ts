// What the tests of the worker share: messages that wait for one, workers, and runners of attempts without one.
import { startQueue } from '../../src/jobs/queue.ts'
import { AttemptRunner, type RateLimit } from '../../src/messages/run-attempts.ts'
import { recordingOf } from '../../src/processes/runtime.ts'
import { createTwilioClient } from '../../src/twilio/client.ts'
import { type RunningWorker, runWorker } from '../../src/processes/worker.ts'
import { waitFor } from './wait-for.ts'
import type { World } from './world.ts'
import { appClient, closeLater, message, rowOf } from './world-with.ts'

export async function enqueue(world: World, changes: Parameters<typeof message>[0] = {}): Promise<number> {
  const { id } = await world.sender.enqueue(message(changes), { db: await appClient(world) })
  return id
}

export const waitForStatus = (world: World, id: number, status: string): Promise<unknown> =>
  waitFor(`message ${id} to be ${status}`, async () => (await rowOf(world, id)).final_status === status)

export const allAlarmsRung = (world: World): Promise<unknown> =>
  waitFor('all jobs to have rung', async () => {
    const open = await world.database.query(
      `select 1 from sms_retry_pgboss.job where name = 'attempt' and state <> 'completed' limit 1`,
    )
    return open.length === 0
  })

/** Rings for this attempt once more, as a job would that was delivered twice. */
export async function ringAgain(world: World, id: number, attempt: number): Promise<void> {
  const { database, logger } = world.openRuntime()
  const queue = await startQueue(database, 'schedule', logger)
  // Postponements that the row does not know, so that it is a job of its own.
  await queue.schedule(database, [{ messageId: id, key: null, attempt, postponements: 99, at: null }])
  await queue.stop(1_000)
  await database.close()
}

/** A worker that ends with the test, if it was not stopped before. */
export async function newWorker(world: World): Promise<RunningWorker> {
  const worker = await runWorker(world.openRuntime())
  closeLater(() => worker.stop())
  return worker
}

export async function newRunner(world: World, pace: RateLimit | null = null): Promise<AttemptRunner> {
  const runtime = world.openRuntime()
  const { config, database, logger } = runtime
  const queue = await startQueue(database, 'schedule', logger)
  closeLater(async () => {
    await queue.stop(1_000)
    await database.close()
  })
  const twilio = createTwilioClient(config.twilio, config.publicBaseUrl)
  return new AttemptRunner({ ...recordingOf(runtime, queue), twilio }, 10, pace)
}
