// Use case: a person acts on a message, by a command or in the dashboard. Asking twice does no more than asking once.
import { proofOf } from '../delivery/message-proof.ts'
import type { Event, Message } from '../delivery/message.ts'
import type { Logger } from '../shared/log.ts'
import { type RecordDeps, recordEvents } from '../recording/record-events.ts'

/** See `Event` for the fields. */
export type Action = Extract<Event, { kind: 'retry' | 'cancel' }>

export type ActionResult =
  | { readonly outcome: 'unknown_message' }
  /** Nothing was done; `why` completes a sentence, such as "it is delivered already". */
  | { readonly outcome: 'nothing_to_do'; readonly why: string }
  | { readonly outcome: 'done'; readonly message: Message }

/**
 * Tries a message again now, or calls it off, as far as its state allows.
 *
 * @param found as it was read just now: its id may be another message's by then
 * @throws DatabaseError if the database failed: then nothing was done, or `written` is `unknown` and asking again is safe
 *   (a retry with what was `seen`)
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
    deps.logger.info('Asked for by hand, and not done', { ...fields, why: decision.why })
    return { outcome: 'nothing_to_do', why: decision.why }
  }
  const { message } = decision
  deps.logger.info('Done by hand', {
    ...fields,
    attempt: message.retryCount,
    status: message.status,
    nextRetryAt: message.nextRetryAt,
  })
  return { outcome: 'done', message }
}
