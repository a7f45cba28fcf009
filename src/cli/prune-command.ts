// The command `prune`: deletes old messages, or only their texts. Progress goes to stderr, the result to stdout.
import type { Env } from '../config/config.ts'
import { requireCurrentTable } from '../db/bookkeeping.ts'
import { type Pruned, prune } from '../messages/prune-messages.ts'
import type { Database } from '../postgres/pool.ts'
import { nextSignal } from '../processes/until-signal.ts'
import { count } from '../shared/figures.ts'
import { print, printJson, printStatus } from '../shared/output.ts'
import { formatMinute } from './format-time.ts'
import { withDatabase } from './with-database.ts'

export interface PruneFlags {
  readonly olderThan: number
  readonly contentOnly?: true
  readonly dryRun?: true
  readonly json?: true
}

const PROGRESS_EVERY_MS = 5_000

/** @returns false if it was stopped before the end */
export function pruneCommand(env: Env, flags: PruneFlags): Promise<boolean> {
  return withDatabase(env, async (database) => {
    const pruned = await pruneWithProgress(database, flags)
    if (flags.json) printJson(jsonOf(pruned, flags))
    else print(resultOf(pruned, flags))
    if (!pruned.isComplete) printStatus('Stopped before the end. Run the command again to continue.')
    return pruned.isComplete
  })
}

async function pruneWithProgress(database: Database, flags: PruneFlags): Promise<Pruned> {
  const { olderThan: olderThanDays, contentOnly = false, dryRun = false } = flags
  const stop = new AbortController()
  void nextSignal().then((signal) => {
    printStatus(`${signal}: stopping after this batch. A second signal stops immediately.`)
    stop.abort()
  })
  let last: Pruned | undefined
  let printedMs = performance.now()
  const onBatch = (soFar: Pruned): void => {
    last = soFar
    if (performance.now() - printedMs < PROGRESS_EVERY_MS) return
    printedMs = performance.now()
    printStatus(progressOf(soFar))
  }
  try {
    await requireCurrentTable(database)
    const what = contentOnly ? 'content' : 'rows'
    return await prune(database, { what, olderThanDays, dryRun }, onBatch, stop.signal)
  } catch (error) {
    if (last !== undefined) printStatus(`${progressOf(last)} Run the command again to continue.`)
    throw error
  }
}

function progressOf({ pruned, lookedUpTo }: Pruned): string {
  return `So far: ${count(pruned)} messages. Messages created up to ${lookedUpTo ?? '-'} are checked.`
}

function resultOf({ pruned, createdBefore }: Pruned, { contentOnly, dryRun }: PruneFlags): string {
  const messages = `${count(pruned)} message${pruned === 1 ? '' : 's'}`
  const subject = contentOnly ? `The texts of ${messages}` : messages
  const isOne = pruned === 1 && !contentOnly
  const verb = dryRun ? 'would be' : isOne ? 'was' : 'were'
  return `${subject} ${verb} deleted (created before ${formatMinute(createdBefore)} UTC).`
}

/** Stable: keys are added, never renamed. */
function jsonOf({ pruned, createdBefore, isComplete }: Pruned, flags: PruneFlags): object {
  return {
    what: flags.contentOnly ? 'content' : 'rows',
    dryRun: flags.dryRun ?? false,
    createdBefore: createdBefore.toISOString(),
    pruned,
    isComplete,
  }
}
