// A message as the sender inserts it, for tests that change one field.
import { insertMessages, type InsertedMessage, type NewMessage } from '../../src/db/insert-messages.ts'
import type { Db } from '../../src/postgres/pool.ts'

export const NEW_MESSAGE: NewMessage = {
  key: 'new-message_key0',
  userId: '7',
  to: '+12065550100',
  body: 'Hello',
  status: 'pending',
  maxRetries: 3,
  validForSeconds: null,
  sendAfter: null,
  sendWindow: null,
  timeZone: null,
  reason: null,
  nextRetryAt: null,
  idempotencyKey: null,
  metadata: {},
  reconcileAfterSeconds: 30,
  identity: null,
  traceparent: null,
}

/** Into the table as `migrate` creates it. Null if its idempotency key already exists. */
export async function insertMessage(db: Db, message: NewMessage): Promise<InsertedMessage | null> {
  const [inserted = null] = await insertMessages(db, [message], 'integer')
  return inserted
}
