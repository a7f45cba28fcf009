// Use case: Twilio reports on an attempt. The status callback is recorded beside others that came at the same time.
import { isFinal } from '../delivery/status.ts'
import type { RecordingDeps } from '../recording/event-recorder.ts'
import type { Logger } from '../shared/log.ts'
import type { MessageEvent, RecordResult } from '../recording/record-events.ts'
import type { StatusCallback } from '../twilio/status-callback.ts'

/**
 * @throws DatabaseError if the database failed: then it was not recorded (or nobody can tell), and Twilio is to send it
 *   again, which does no harm
 * @throws OverloadedError if too many wait to be recorded: likewise
 */
export async function recordCallback(deps: RecordingDeps, callback: StatusCallback): Promise<void> {
  const outcome = await deps.recorder.record(toMessageEvent(callback))
  deps.metrics.callbacks[resultOf(outcome)].inc()
  logOutcome(deps.logger, callback, outcome)
}

function resultOf(outcome: RecordResult): 'recorded' | 'ignored' | 'unknown_message' {
  if (!outcome.known) return 'unknown_message'
  return outcome.decision.kind === 'ignore' ? 'ignored' : 'recorded'
}

function toMessageEvent({ origin, to, sid, status, errorCode, errorText }: StatusCallback): MessageEvent {
  return {
    target: origin === null ? { sid } : { id: origin.messageId, proof: { key: origin.key, to, sid } },
    event: { kind: 'report', attempt: origin?.attempt ?? null, sid, status, errorCode, errorText },
  }
}

function logOutcome(
  logger: Logger,
  { origin, sid, status, errorCode }: StatusCallback,
  outcome: RecordResult,
): void {
  const report = { sid, reported: status, errorCode }
  if (!outcome.known) {
    logger.warn('Status callback for a message that is not in the table', {
      messageId: origin?.messageId,
      attempt: origin?.attempt,
      ...report,
    })
    return
  }
  const { before, decision } = outcome
  const { attempts } = decision.kind === 'ignore' ? before : decision.message
  const attempt = origin?.attempt ?? attempts.findLast((each) => each.sid === sid)?.number
  const fields = { messageId: before.id, attempt, ...report }
  if (decision.kind === 'ignore') {
    logger.debug('Status callback changed nothing', { ...fields, why: decision.why })
    return
  }
  const { status: now, reason, nextRetryAt } = decision.message
  const isOutcome = now !== before.status && (isFinal(now) || now === 'retrying')
  logger[isOutcome ? 'info' : 'debug']('Status callback recorded', {
    ...fields,
    status: now,
    // Otherwise it may be a text of the app's own.
    ...(isOutcome ? { reason } : {}),
    nextRetryAt,
  })
}
