// Opens the database, and if needed the queue, for a command. Closes both when the command ends, also after an error.
import { type Env, parseConfig, type Requirement } from '../config/config.ts'
import { type Database, openDatabase } from '../postgres/pool.ts'
import { openRecording } from '../processes/open-recording.ts'
import { openRuntime, type Runtime } from '../processes/runtime.ts'
import type { RecordingDeps } from '../recording/event-recorder.ts'
import { createCommandLogger } from './command-logger.ts'

/** For commands that read, or that change rows without recording events. */
export async function withDatabase<T>(env: Env, work: (database: Database) => Promise<T>): Promise<T> {
  const config = parseConfig(env, ['DATABASE_URL'])
  // The command reports the failure of its own query; a connection that breaks while idle does not matter.
  const database = openDatabase(config.database, () => undefined)
  try {
    return await work(database)
  } finally {
    await database.close()
  }
}

/** For commands that change messages and their jobs in one transaction. */
export async function withRecording<T>(
  env: Env,
  required: readonly Requirement[],
  work: (deps: RecordingDeps, runtime: Runtime) => Promise<T>,
): Promise<T> {
  const runtime = openRuntime({ logger: createCommandLogger(env) }, env, required)
  const recording = await openRecording(runtime)
  try {
    return await work(recording.deps, runtime)
  } finally {
    await recording.close()
  }
}
