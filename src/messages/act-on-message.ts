// Use case: a person retries or cancels a message, by a command or in the dashboard. Doing it twice has no further effect.
import { proofOf } from '../delivery/message-proof.ts'
import type { Event, Message } from '../delivery/message.ts'
import type { Logger } from '../shared/log.ts'
import { type RecordDeps, recordEvents } from '../recording/record-events.ts'

/** `Event` describes the fields. */
export type Action = Extract<Event, { kind: 'retry' | 'cancel' }>

export type ActionResult =
  | { readonly outcome: 'unknown_message' }
  /** Nothing was done. `why` is a clause for people, such as "it is already delivered". */
  | { readonly outcome: 'nothing_to_do'; readonly why: string }
  | { readonly outcome: 'done'; readonly message: Message }

/**
 * Retries a message now, or cancels it, if its state allows that.
 *
 * @param found the message as it was read; its key proves that the id still belongs to it
 * @throws DatabaseError if the database failed: then nothing was done, or `written` is `unknown` and it is safe to do it
 *   again (a retry only with `seen`)
 */
export async function actOnMessage(
  deps: RecordDeps & { readonly logger: Logger },
  found: Pick<Message, 'id' | 'key' | 'to'>,
  action: Action,
): Promise<ActionResult> {
  const { id: messageId } = found
  const target = { id: messageId, proof: proofOf(found) }
  const [recorded] = await recordEvents(deps, [{ target, event: action }])
  if (recorded?.known !== true) return { outcome: 'unknown_message' }
  const { decision } = recorded
  const fields = { messageId, action: action.kind, attempt: recorded.before.retryCount }
  if (decision.kind === 'ignore') {
    deps.logger.info('Manual action had no effect', { ...fields, why: decision.why })
    return { outcome: 'nothing_to_do', why: decision.why }
  }
  const { message } = decision
  deps.logger.info('Manual action done', {
    ...fields,
    attempt: message.retryCount,
    status: message.status,
    nextRetryAt: message.nextRetryAt,
  })
  return { outcome: 'done', message }
}
