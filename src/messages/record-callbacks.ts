// Use case: records a status callback, in a batch with others that came at the same time.
import { isFinal } from '../delivery/status.ts'
import type { RecordingDeps } from '../recording/event-recorder.ts'
import type { Logger } from '../shared/log.ts'
import type { MessageEvent, RecordResult } from '../recording/record-events.ts'
import { inSpan, type OpenSpan } from '../shared/tracing.ts'
import type { StatusCallback } from '../twilio/status-callback.ts'

/**
 * @throws DatabaseError if the database failed: the callback was not recorded, or the result is unknown. Twilio must
 *   send it again; recording it twice is safe
 * @throws OverloadedError if too many callbacks wait to be recorded: Twilio must send it again
 */
export async function recordCallback(deps: RecordingDeps, callback: StatusCallback): Promise<void> {
  const { sid, status, errorCode } = callback
  const attributes = { 'sms_retry.sid': sid, 'sms_retry.status': status, 'sms_retry.error_code': errorCode }
  await inSpan('callback', { kind: 'CONSUMER', attributes }, async (span) => {
    const outcome = await deps.recorder.record(toMessageEvent(callback))
    if (span !== null) describeCallback(span, callback, outcome)
    deps.metrics.callbacks[resultOf(outcome)].inc()
    logOutcome(deps.logger, callback, outcome)
  })
}

function describeCallback(span: OpenSpan, callback: StatusCallback, outcome: RecordResult): void {
  span.set({ 'sms_retry.result': resultOf(outcome) })
  if (!outcome.known) return
  span.set({
    'messaging.message.id': `${outcome.before.id}`,
    'sms_retry.attempt': attemptOf(callback, outcome),
  })
  span.linkTo(outcome.traceparent)
}

function resultOf(outcome: RecordResult): 'recorded' | 'ignored' | 'unknown_message' {
  if (!outcome.known) return 'unknown_message'
  return outcome.decision.kind === 'ignore' ? 'ignored' : 'recorded'
}

/** A callback without an origin names its attempt by the sid only. */
function attemptOf(
  { origin, sid }: StatusCallback,
  { before, decision }: Extract<RecordResult, { known: true }>,
): number | undefined {
  const { attempts } = decision.kind === 'ignore' ? before : decision.message
  return origin?.attempt ?? attempts.findLast((each) => each.sid === sid)?.number
}

function toMessageEvent({ origin, to, sid, status, errorCode, errorText }: StatusCallback): MessageEvent {
  return {
    target: origin === null ? { sid } : { id: origin.messageId, proof: { key: origin.key, to, sid } },
    event: { kind: 'report', attempt: origin?.attempt ?? null, sid, status, errorCode, errorText },
  }
}

function logOutcome(logger: Logger, callback: StatusCallback, outcome: RecordResult): void {
  const { origin, sid, status, errorCode } = callback
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
  const fields = { messageId: before.id, attempt: attemptOf(callback, outcome), ...report }
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
