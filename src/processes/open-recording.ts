// Starts and stops what a process needs to record events: the queue, and the process's row in the database.
import type { RecordingDeps } from '../recording/event-recorder.ts'
import { Instance } from './instance.ts'
import { recordingOf, type Runtime, startRuntimeQueue } from './runtime.ts'
import { QUEUE_STOP_TIMEOUT_MS } from './stop-timeouts.ts'

export interface OpenRecording {
  readonly deps: RecordingDeps
  /** Also closes the runtime's database. */
  close(): Promise<void>
}

/**
 * Takes ownership of the runtime: closes its database on `close()`, or if the start fails.
 *
 * @throws DatabaseError or SchemaError if it cannot start
 */
export async function openRecording(runtime: Runtime): Promise<OpenRecording> {
  const queue = await startRuntimeQueue(runtime, 'schedule')
  const instance = new Instance(runtime, 'sender')
  await instance.start()
  return {
    deps: recordingOf(runtime, queue),
    async close() {
      await queue.stop(QUEUE_STOP_TIMEOUT_MS)
      await instance.stop()
      await runtime.database.close()
    },
  }
}
