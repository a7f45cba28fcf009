// The commands `retry` and `cancel` without an id: for all messages that match a filter. They ask for a confirmation.
import type { Env } from '../config/config.ts'
import { readNow } from '../db/search.ts'
import { requireCurrentTable } from '../db/bookkeeping.ts'
import { actOnMatches, type BulkAction, countMatches, searchOf } from '../messages/act-on-matches.ts'
import type { BulkResult } from '../messages/bulk-result.ts'
import { type MessageFilter, toSearch } from '../messages/message-filter.ts'
import { retriesPerSecond } from '../messages/retry-pace.ts'
import { openRuntime, type Runtime } from '../processes/runtime.ts'
import { nextSignal } from '../processes/until-signal.ts'
import type { RecordingDeps } from '../recording/event-recorder.ts'
import { count } from '../shared/figures.ts'
import { print, printJson, printStatus } from '../shared/output.ts'
import { refuseUsage } from './arguments.ts'
import { bulkJson, bulkView, messages } from './bulk-views.ts'
import { createCommandLogger } from './command-logger.ts'
import { confirm } from './confirm.ts'
import { filterOf } from './filter-flags.ts'
import { userName } from './user-name.ts'
import { withRecording } from './with-database.ts'

export interface BulkFlags extends MessageFilter {
  readonly dryRun?: true
  readonly yes?: true
  readonly force?: true
  readonly json?: true
}

/** @returns false if it was stopped or refused, or if some messages could not be changed */
export async function bulkCommand(env: Env, kind: BulkAction['kind'], flags: BulkFlags): Promise<boolean> {
  const stop = stopOnSignal()
  if (flags.dryRun) return dryRun(env, kind, flags, stop)
  if (!flags.yes && !process.stdin.isTTY) refuseUsage(NEEDS_YES)
  return withRecording(env, ['DATABASE_URL'], async (deps, runtime) => {
    const action = await actionOf(runtime, kind, flags)
    const result = await (flags.yes ? actWithProgress : actIfConfirmed)(deps, action, stop)
    if (result === null) {
      printStatus('Nothing was changed.')
      return false
    }
    if (flags.json) printJson(bulkJson(action, result, false))
    else print(bulkView(action, result, false))
    if (!result.isComplete) printStatus(STOPPED)
    return result.isComplete && result.failed === 0
  })
}

const NEEDS_YES =
  'Without a terminal, nobody can confirm. Count the messages with --dry-run, then run the command again with --yes.'
const STOPPED = 'Stopped before the end. Run the command again to continue.'

async function actionOf(
  { database, config }: Runtime,
  kind: BulkAction['kind'],
  flags: BulkFlags,
): Promise<BulkAction> {
  const start = await readNow(database)
  const action = { kind, search: toSearch(filterOf(flags), start.at), force: flags.force === true, start }
  const perSecond = retriesPerSecond(config.sendRatePerSecond)
  return { ...action, search: searchOf(action), by: userName(), retriesPerSecond: perSecond }
}

async function dryRun(
  env: Env,
  kind: BulkAction['kind'],
  flags: BulkFlags,
  signal: AbortSignal,
): Promise<boolean> {
  const runtime = openRuntime({ logger: createCommandLogger(env) }, env, ['DATABASE_URL'])
  try {
    await requireCurrentTable(runtime.database)
    const action = await actionOf(runtime, kind, flags)
    const result = await countMatches({ ...runtime, random: Math.random }, action, { after: null, signal })
    if (flags.json) printJson(bulkJson(action, result, true))
    else print(bulkView(action, result, true))
    if (!result.isComplete) printStatus('Stopped before all messages were counted.')
    return result.isComplete
  } finally {
    await runtime.database.close()
  }
}

/** Shows the result of a dry run, and asks. Null if the answer is no; without anything to change, it does not ask. */
async function actIfConfirmed(
  deps: RecordingDeps,
  action: BulkAction,
  signal: AbortSignal,
): Promise<BulkResult | null> {
  const planned = await countMatches(deps, action, { after: null, signal })
  if (!planned.isComplete) return null
  if (planned.changed === 0) return planned
  printStatus(bulkView(action, planned, true))
  const verb = action.kind === 'retry' ? 'Retry' : 'Cancel'
  const isConfirmed = await confirm(`${verb} ${messages(planned.changed)}? [y/N] `, signal)
  return isConfirmed ? actWithProgress(deps, action, signal) : null
}

const PROGRESS_EVERY_MS = 5_000

async function actWithProgress(
  deps: RecordingDeps,
  action: BulkAction,
  signal: AbortSignal,
): Promise<BulkResult> {
  let last: BulkResult | undefined
  let printedMs = performance.now()
  const onBatch = (soFar: BulkResult): void => {
    last = soFar
    if (performance.now() - printedMs < PROGRESS_EVERY_MS) return
    printedMs = performance.now()
    printStatus(progressOf(soFar))
  }
  try {
    return await actOnMatches(deps, action, { after: null, signal }, onBatch)
  } catch (error) {
    if (last !== undefined) printStatus(`${progressOf(last)} Run the command again to continue.`)
    throw error
  }
}

function progressOf({ matched, changed }: BulkResult): string {
  return `So far: ${count(changed)} of ${messages(matched)} changed.`
}

/** Aborted by the first SIGINT or SIGTERM. */
function stopOnSignal(): AbortSignal {
  const stop = new AbortController()
  void nextSignal().then((signal) => {
    printStatus(`${signal}: stopping after this batch. A second signal stops immediately.`)
    stop.abort()
  })
  return stop.signal
}
