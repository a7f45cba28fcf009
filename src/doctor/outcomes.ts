// Do all processes record outcomes, or none? Does a worker deliver them, and does the app take them?
import { listInstances } from '../db/instances.ts'
import { nameOfInstance, withoutOutcomes } from '../delivery/instance-agreement.ts'
import { startQueue } from '../jobs/queue.ts'
import type { Database } from '../postgres/pool.ts'
import { QUEUE_STOP_TIMEOUT_MS } from '../processes/stop-timeouts.ts'
import { type Examine, type Finding, ok, warning } from './finding.ts'
import { SILENT } from './schema.ts'

export const examineOutcomes: Examine = async ({ config, database }) => {
  const instances = await listInstances(database)
  const settings = [
    ...instances.map((instance) => ({ name: nameOfInstance(instance), settings: instance.settings })),
    { name: 'this command', settings: { outcomeEvents: config.outcomes.isOn } },
  ]
  const off = withoutOutcomes(settings).map(({ name }) => name)
  const hasReceiver = instances.some((instance) => instance.settings.deliversOutcomes === true)
  const failed = await failedFindings(database)
  if (off.length === settings.length)
    return [hasReceiver ? NOT_RECORDED : ok('Outcome events are off'), ...failed]
  const findings: Finding[] = [...failed]
  if (off.length > 0) {
    findings.push(
      warning(
        `OUTCOME_EVENTS is true, but not in ${off.join(', ')}: the app is not told of the outcomes that they decide`,
        'Set OUTCOME_EVENTS=true in every process, and restart those that lack it.',
      ),
    )
  }
  if (!hasReceiver) {
    findings.push(
      warning(
        'Outcomes are recorded, but no running worker delivers them',
        'Set OUTCOME_WEBHOOK_URL and OUTCOME_WEBHOOK_SECRET for sms-retry worker, or pass onOutcome to startWorker.',
      ),
    )
  }
  return findings.length > 0
    ? findings
    : [ok('Outcome events are on in all processes, and a worker delivers them')]
}

const NOT_RECORDED = warning(
  'A worker delivers outcomes, but no process records them: OUTCOME_EVENTS is not true',
  'Set OUTCOME_EVENTS=true in every process, or remove onOutcome from startWorker.',
)

const MAX_COUNTED = 1000

async function failedFindings(database: Database): Promise<Finding[]> {
  const queue = await startQueue(database, 'schedule', SILENT)
  try {
    const { length } = await queue.outcomes.listOpen('failed', MAX_COUNTED)
    if (length === 0) return []
    const count = length === MAX_COUNTED ? `${length} or more` : `${length}`
    return [
      warning(
        `${count} ${length === 1 ? 'outcome' : 'outcomes'} failed all deliveries to the app`,
        'To see why, run: sms-retry outcomes --failed. Then fix the receiver, and run: sms-retry outcomes --redeliver',
      ),
    ]
  } finally {
    await queue.stop(QUEUE_STOP_TIMEOUT_MS)
  }
}
