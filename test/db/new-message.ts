// A message as the sender inserts it, for tests that change one field.
import type { NewMessage } from '../../src/db/messages.ts'

export const NEW_MESSAGE: NewMessage = {
  key: 'new-message_key0',
  userId: 7,
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
}
