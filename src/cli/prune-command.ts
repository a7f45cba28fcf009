// The command that removes old messages, or their texts. Progress goes to stderr, the result to stdout.
import { type Env, parseConfig } from '../config/config.ts'
import { requireCurrentTable } from '../db/bookkeeping.ts'
import { openDatabase } from '../postgres/pool.ts'
import { type Pruned, prune } from '../messages/prune-messages.ts'
import { print, printJson, printStatus } from '../shared/output.ts'
import { nextSignal } from '../processes/until-signal.ts'

export interface PruneFlags {
  readonly olderThan: number
  readonly contentOnly?: true
  readonly dryRun?: true
  readonly json?: true
}

const PROGRESS_EVERY_MS = 5_000

/** @returns false if it was told to stop before it was done */
export async function pruneCommand(env: Env, flags: PruneFlags): Promise<boolean> {
  const config = parseConfig(env, ['DATABASE_URL'])
  const database = openDatabase(config.database, () => undefined)
  const stop = new AbortController()
  void nextSignal().then((signal) => {
    printStatus(`${signal}: stopping after this batch. Once more stops it at once.`)
    stop.abort()
  })
  const { olderThan: olderThanDays, contentOnly = false, dryRun = false } = flags
  const what = contentOnly ? 'content' : 'rows'
  let last: Pruned | undefined
  let toldMs = performance.now()
  const onBatch = (sofar: Pruned): void => {
    last = sofar
    if (performance.now() - toldMs < PROGRESS_EVERY_MS) return
    toldMs = performance.now()
    printStatus(progressOf(sofar))
  }
  try {
    await requireCurrentTable(database)
    const pruned = await prune(database, { what, olderThanDays, dryRun }, onBatch, stop.signal)
    if (flags.json) printJson(jsonOf(pruned, flags))
    else print(resultOf(pruned, flags))
    if (!pruned.isComplete) printStatus('It was stopped before its end: run it again to go on.')
    return pruned.isComplete
  } catch (error) {
    if (last !== undefined) printStatus(`${progressOf(last)} Run it again to go on.`)
    throw error
  } finally {
    await database.close()
  }
}

function progressOf({ pruned, lookedUpTo }: Pruned): string {
  return `So far: ${pruned.toLocaleString('en')}, up to ${lookedUpTo ?? 'nothing'}.`
}

function resultOf({ pruned, createdBefore }: Pruned, { contentOnly, dryRun }: PruneFlags): string {
  const count = `${pruned.toLocaleString('en')} message${pruned === 1 ? '' : 's'}`
  const is = `${dryRun ? 'would be' : pruned === 1 ? 'was' : 'were'} ${contentOnly ? 'stripped of their texts' : 'deleted'}`
  return `${count} ${is}, of those created before ${createdBefore.toISOString().slice(0, 16).replace('T', ' ')} UTC.`
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
