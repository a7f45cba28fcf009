// Use case: records a status callback, in a batch with others that came at the same time.
import { isFinal } from '../delivery/status.ts'
import type { RecordingDeps } from '../recording/event-recorder.ts'
import type { Logger } from '../shared/log.ts'
import type { MessageEvent, RecordResult } from '../recording/record-events.ts'
import type { StatusCallback } from '../twilio/status-callback.ts'

/**
 * @throws DatabaseError if the database failed: the callback was not recorded, or the result is unknown. Twilio must
 *   send it again; recording it twice is safe
 * @throws OverloadedError if too many callbacks wait to be recorded: Twilio must send it again
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
    logger.warn('Status callback for an unknown message', {
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
  const { status: newStatus, reason, nextRetryAt } = decision.message
  const isOutcome = newStatus !== before.status && (isFinal(newStatus) || newStatus === 'retrying')
  logger[isOutcome ? 'info' : 'debug']('Status callback recorded', {
    ...fields,
    status: newStatus,
    // Otherwise, the reason may be a text that the app wrote.
    ...(isOutcome ? { reason } : {}),
    nextRetryAt,
  })
}
