// Use case: Twilio reports on attempts. Records a list of one or more status callbacks in one transaction.
import { isFinal } from './delivery/status.ts'
import type { Logger } from './log.ts'
import { type Happening, type RecordDeps, type Recorded, recordEvents } from './record-events.ts'
import type { StatusCallback } from './twilio/status-callback.ts'

/**
 * @throws DatabaseError if the database failed: then nothing was recorded (or nobody can tell), and Twilio is to send
 *   them again, which does no harm
 */
export async function recordCallbacks(
  deps: RecordDeps & { readonly logger: Logger },
  callbacks: readonly StatusCallback[],
): Promise<Recorded[]> {
  const recorded = await recordEvents(deps, callbacks.map(toHappening))
  for (const [i, outcome] of recorded.entries()) {
    const callback = callbacks[i]
    if (callback !== undefined) logOutcome(deps.logger, callback, outcome)
  }
  return recorded
}

function toHappening({ origin, sid, status, errorCode, errorText }: StatusCallback): Happening {
  return {
    target: origin === null ? { sid } : { id: origin.messageId },
    event: { kind: 'report', attempt: origin?.attempt ?? null, sid, status, errorCode, errorText },
  }
}

function logOutcome(
  logger: Logger,
  { origin, sid, status, errorCode }: StatusCallback,
  outcome: Recorded,
): void {
  const report = { attempt: origin?.attempt, sid, reported: status, errorCode }
  if (!outcome.known) {
    logger.warn('Status callback for a message that is not in the table', {
      messageId: origin?.messageId,
      ...report,
    })
    return
  }
  const { before, decision } = outcome
  const fields = { messageId: before.id, ...report }
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
