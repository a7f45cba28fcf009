// Use case: the app cancels a message that waits, also in its own transaction.
import { findIdByIdempotencyKey } from '../db/messages.ts'
import type { Event } from '../delivery/message.ts'
import type { DeliveryStatus } from '../delivery/status.ts'
import { toRefusedRowError } from '../postgres/database-failure.ts'
import type { Db } from '../postgres/pool.ts'
import { type RecordDeps, recordEvents, type RecordResult } from '../recording/record-events.ts'
import { recordInTransaction } from '../recording/record-in-transaction.ts'
import { DatabaseError } from '../shared/errors.ts'
import type { Logger } from '../shared/log.ts'
import { checkReason, checkRef, type MessageRef } from './message-ref.ts'

/**
 * `canceled` is true if the message is canceled, by this call or before: no attempt follows. Otherwise `status` tells why
 * it could not be canceled: null if there is no such message, `submitting` if a worker was faster, or the status that it
 * has at Twilio or in the end.
 */
export type CancelResult =
  | { readonly canceled: true; readonly status: 'canceled' }
  | { readonly canceled: false; readonly status: Exclude<DeliveryStatus, 'canceled'> | null }

/**
 * @param options.db the caller's transaction. Without one, the cancellation is committed
 * @param options.reason stored as the reason of the message
 * @throws InvalidMessageError if an argument is invalid
 * @throws RefusedRowError if the database refuses to change the row
 */
export async function cancelMessage(
  deps: RecordDeps & { readonly logger: Logger },
  ref: MessageRef,
  { db, reason }: { readonly db?: Db | undefined; readonly reason?: string | undefined },
): Promise<CancelResult> {
  const named = checkRef(ref)
  checkReason(reason)
  const id =
    'id' in named ? named.id : await findIdByIdempotencyKey(db ?? deps.database, named.idempotencyKey)
  if (id === null) return { canceled: false, status: null }
  const event = { kind: 'cancel', ...(reason === undefined ? {} : { reason }) } as const
  const recorded = await record(deps, id, event, db)
  if (!recorded.known) return { canceled: false, status: null }
  const { before, decision } = recorded
  const { status } = decision.kind === 'ignore' ? before : decision.message
  const fields = { messageId: id, attempt: before.retryCount, status }
  if (decision.kind === 'ignore')
    deps.logger.debug('The app did not cancel a message', { ...fields, why: decision.why })
  // In the caller's transaction, this may still be rolled back.
  else deps.logger.info('The app canceled a message', { ...fields, inTransaction: db !== undefined })
  return status === 'canceled' ? { canceled: true, status } : { canceled: false, status }
}

async function record(deps: RecordDeps, id: number, event: Event, db: Db | undefined): Promise<RecordResult> {
  if (db !== undefined) return recordInTransaction(deps, db, id, event)
  const [recorded] = await recordEvents(deps, [{ target: { id }, event }]).catch((error: unknown) => {
    throw error instanceof DatabaseError && error.isRefusal ? toRefusedRowError(error) : error
  })
  return recorded ?? { known: false }
}
