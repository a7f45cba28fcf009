// The commands by which a person acts on one message: try it again now, or call it off.
import { type Action, actOnMessage } from '../messages/act-on-message.ts'
import type { Env } from '../config/config.ts'
import { findMessage, type StoredMessage } from '../db/messages.ts'
import { nextStepOf } from '../delivery/next-step.ts'
import { Instance } from '../processes/instance.ts'
import { openRuntime, recordingOf, startRuntimeQueue } from '../processes/runtime.ts'
import { createCommandLogger } from './command-logger.ts'
import { print, printJson, printStatus } from '../shared/output.ts'
import { messageJson } from './views.ts'

export interface ActFlags {
  readonly json?: true
}

/** @returns false if nothing was done */
export function retryCommand(
  env: Env,
  id: number,
  flags: ActFlags & { readonly force?: true },
): Promise<boolean> {
  // What it is now is what is asked for: of two who ask at the same time, one gets it.
  return act(env, id, flags, ({ status, retryCount }) => ({
    kind: 'retry',
    seen: { status, retryCount },
    force: flags.force === true,
  }))
}

/** @returns false if nothing was done */
export function cancelCommand(env: Env, id: number, flags: ActFlags): Promise<boolean> {
  return act(env, id, flags, () => ({ kind: 'cancel' }))
}

const STOP_TIMEOUT_MS = 5_000

async function act(
  env: Env,
  id: number,
  { json }: ActFlags,
  actionFor: (message: StoredMessage) => Action,
): Promise<boolean> {
  const logger = createCommandLogger(env)
  const runtime = openRuntime({ logger }, env, ['DATABASE_URL'])
  const { database } = runtime
  const queue = await startRuntimeQueue(runtime, 'schedule')
  const instance = new Instance(runtime, 'sender')
  await instance.start()
  try {
    const found = await findMessage(database, id)
    const acted =
      found === null
        ? ({ outcome: 'unknown_message' } as const)
        : await actOnMessage(recordingOf(runtime, queue), found, actionFor(found))
    if (found === null || acted.outcome === 'unknown_message') {
      printStatus(`There is no message ${id}.`)
      return false
    }
    if (acted.outcome === 'nothing_to_do') {
      if (json) printJson({ id, ...acted, message: messageJson(found) })
      printStatus(`Message ${id} stays as it is: ${acted.why}.`)
      return false
    }
    const message = { ...acted.message, userId: found.userId }
    if (json) printJson({ id, outcome: acted.outcome, message: messageJson(message) })
    else print(`message ${id}: ${wordsFor(message)}`)
    return true
  } finally {
    await queue.stop(STOP_TIMEOUT_MS)
    await instance.stop()
    await database.close()
  }
}

function wordsFor(message: StoredMessage): string {
  if (message.status === 'canceled') return 'canceled'
  // By its own time: the clocks of this machine and the database may differ.
  return `${message.status}. ${nextStepOf(message, message.nextRetryAt ?? new Date()).what}`
}
