// Records an event in a transaction of the app: row and jobs change when the app commits, and not if it rolls back.
import { lockMessageOfCaller } from '../db/messages.ts'
import { WORKING_ACCOUNT } from '../delivery/account-state.ts'
import type { Event } from '../delivery/message.ts'
import { type Db, inCallerTransaction } from '../postgres/pool.ts'
import { RefusedRowError } from '../shared/errors.ts'
import { EventBatch, type RecordResult } from './event-batch.ts'
import { NOT_WRITTEN, type RecordDeps } from './record-events.ts'

/**
 * For an event of the app, which says nothing about the account: its state is neither read nor written. The event is
 * counted although the app may still roll back.
 *
 * @throws RefusedRowError if the database discarded the change of the row: the caller must roll back
 * @throws the error of the app's driver or ORM if a statement fails
 */
export async function recordInTransaction(
  deps: Omit<RecordDeps, 'database'>,
  db: Db,
  id: number,
  event: Event,
): Promise<RecordResult> {
  const { batch, result } = await inCallerTransaction(db, async (tx) => {
    const locked = await lockMessageOfCaller(tx, id)
    const now = locked?.now ?? new Date(0)
    const batch = new EventBatch(locked === null ? [] : [locked], { state: WORKING_ACCOUNT, version: 0, now })
    const result = batch.apply({ target: { id }, event }, deps)
    await batch.write(tx, deps.queue)
    return { batch, result }
  })
  if (!result.known) return result
  const { before, decision } = result
  if (decision.kind !== 'ignore' && !batch.isWritten(before.id)) throw new RefusedRowError(NOT_WRITTEN)
  deps.metrics.decided(before, decision)
  return result
}
