// The command `outcomes`: lists the outcomes that the app has not got yet, and delivers failed ones again.
import type { Env } from '../config/config.ts'
import type { OpenOutcome } from '../jobs/outcome-job.ts'
import { print, printJson, printStatus } from '../shared/output.ts'
import { formatMinute } from './format-time.ts'
import { table } from './table.ts'
import { withRecording } from './with-database.ts'

interface OutcomeFlags {
  readonly failed?: true
  readonly redeliver?: true
  readonly limit: number
  readonly json?: true
}

export function outcomesCommand(env: Env, { failed, redeliver, limit, json }: OutcomeFlags): Promise<void> {
  return withRecording(env, ['DATABASE_URL'], async ({ queue, logger }) => {
    if (redeliver) {
      const redelivered = await queue.outcomes.redeliverFailed()
      logger.info('Failed outcomes are delivered again', { redelivered })
      if (json) printJson({ redelivered })
      else print(`${redelivered} ${redelivered === 1 ? 'outcome is' : 'outcomes are'} delivered again`)
      return
    }
    // One more, to know whether there are more.
    const open = await queue.outcomes.listOpen(failed ? 'failed' : 'waiting', limit + 1)
    const shown = open.slice(0, limit)
    if (json) printJson(shown.map(outcomeJson))
    else if (shown.length > 0) print(outcomeTable(shown))
    printStatus(summary(failed === true, shown.length, open.length > limit))
  })
}

function summary(isFailed: boolean, count: number, hasMore: boolean): string {
  const some = hasMore ? `More than ${count}` : count === 0 ? 'No' : `${count}`
  const isOne = count === 1 && !hasMore
  if (!isFailed) return `${some} ${isOne ? 'outcome waits' : 'outcomes wait'} for a delivery to the app.`
  const advice = count === 0 ? '' : ' Fix the receiver, then run: sms-retry outcomes --redeliver'
  return `${some} ${isOne ? 'outcome' : 'outcomes'} failed all deliveries.${advice}`
}

function outcomeTable(open: readonly OpenOutcome[]): string {
  return table(
    ['DECIDED', 'MESSAGE', 'TYPE', 'CODE', 'FAILURES', 'NEXT', 'LAST FAILURE'],
    open.map(({ job, failures, failure, nextAt }) => [
      formatMinute(new Date(job.at)),
      `${job.message}`,
      job.type,
      job.errorCode === null ? '' : `${job.errorCode}`,
      `${failures}`,
      nextAt === null ? '' : formatMinute(nextAt),
      failure ?? '',
    ]),
  )
}

/** Stable: keys are added, never renamed. Times are ISO 8601 in UTC. */
function outcomeJson({ job, failures, failure, nextAt }: OpenOutcome): object {
  const { id, type, message: messageId, status, previousStatus, errorCode, reason, retryCount, sid, at } = job
  const outcome = { id, type, messageId, status, previousStatus, errorCode, reason, retryCount, sid, at }
  return { ...outcome, failures, failure, nextAt }
}
