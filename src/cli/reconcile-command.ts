// The command `reconcile`: one sweep over overdue messages, or a list of what a sweep would do.
import type { Env } from '../config/config.ts'
import { planReconcile, type PlannedCheck, reconcile, type Reconciled } from '../messages/reconcile.ts'
import { openRuntime, SENDING_REQUIREMENTS } from '../processes/runtime.ts'
import { print, printJson, printStatus } from '../shared/output.ts'
import { createTwilioClient } from '../twilio/client.ts'
import { createCommandLogger } from './command-logger.ts'
import { table } from './table.ts'
import { withRecording } from './with-database.ts'

interface ReconcileFlags {
  readonly dryRun?: true
  readonly json?: true
}

/** @returns false if some attempts could not be looked up at Twilio, or their results not recorded */
export async function reconcileCommand(env: Env, flags: ReconcileFlags): Promise<boolean> {
  if (flags.dryRun) return listPlanned(env, flags)
  return withRecording(env, SENDING_REQUIREMENTS, async (deps, { config }) => {
    const twilio = createTwilioClient(config.twilio, config.publicBaseUrl)
    const counts = await reconcile({ ...deps, twilio })
    if (flags.json) printJson(reconciledJson(counts))
    else print(reconciledView(counts))
    return counts.failed === 0
  })
}

const MAX_PLANNED = 1000

async function listPlanned(env: Env, { json }: ReconcileFlags): Promise<boolean> {
  const runtime = openRuntime({ logger: createCommandLogger(env) }, env, ['DATABASE_URL'])
  const planned = await planReconcile(runtime, MAX_PLANNED).finally(() => runtime.database.close())
  if (json) printJson(planned.map(plannedJson))
  else if (planned.length > 0) print(plannedView(planned))
  else printStatus('No messages are overdue.')
  if (planned.length === MAX_PLANNED) printStatus(`Only the first ${MAX_PLANNED} messages are listed.`)
  return true
}

function plannedView(planned: readonly PlannedCheck[]): string {
  return table(
    ['MESSAGE', 'ATTEMPT', 'STATUS', 'PLAN'],
    planned.map(({ messageId, attempt, status, plan }) => [`${messageId}`, `${attempt}`, status, plan]),
  )
}

/** Stable: keys are added, never renamed. */
function plannedJson({ messageId, attempt, status, plan }: PlannedCheck): object {
  return { messageId, attempt, status, plan }
}

function reconciledView(counts: Reconciled): string {
  return [
    `Checked ${counts.looked} overdue ${counts.looked === 1 ? 'message' : 'messages'}.`,
    `  ${counts.rungAgain} due without a job: rescheduled`,
    `  ${counts.asked} looked up at Twilio: ${counts.answered} resolved, ${counts.absent} not found and rescheduled, ` +
      `${counts.undecided} still in doubt, ${counts.failed} failed`,
    ...(counts.leftOut === 0
      ? []
      : [`  ${counts.leftOut} skipped: the row is locked, or the database rejects the update`]),
  ].join('\n')
}

/** Stable: keys are added, never renamed. */
function reconciledJson(counts: Reconciled): object {
  const { looked, rungAgain, asked, answered, absent, undecided, failed, leftOut } = counts
  return { looked, rungAgain, asked, answered, absent, undecided, failed, leftOut }
}
