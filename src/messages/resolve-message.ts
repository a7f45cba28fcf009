// Use case: a person settles an attempt in doubt, which they looked up in Twilio's console.
import type { TwilioConfig } from '../config/config.ts'
import { findOthers, readClock } from '../db/overdue.ts'
import { findIdBySid } from '../db/search.ts'
import { attemptInDoubt } from '../delivery/in-doubt.ts'
import { proofOf } from '../delivery/message-proof.ts'
import type { Event, Message } from '../delivery/message.ts'
import {
  type MessageEvent,
  type RecordDeps,
  type RecordResult,
  recordEvents,
} from '../recording/record-events.ts'
import { DatabaseError } from '../shared/errors.ts'
import type { Logger } from '../shared/log.ts'
import { readTwilioMessage } from '../twilio/read-message.ts'

/** What the person states: the sid of the attempt's message at Twilio, or that Twilio does not have it. */
export type Statement = { readonly sid: string } | 'not_sent'

/** The attempt that the person saw. */
export interface SeenAttempt {
  readonly attempt: number
  readonly claimedAt: Date
}

export type ResolveResult =
  | { readonly outcome: 'done'; readonly message: Message }
  | { readonly outcome: 'unknown_message' }
  /** Nothing was changed. `why` is a clause for people. */
  | { readonly outcome: 'nothing_to_do'; readonly why: string }

type Deps = RecordDeps & { readonly logger: Logger; readonly twilio: TwilioConfig }

/**
 * @param found the message as it was read; its key proves that the id still belongs to it
 * @param seen by default, the latest attempt of `found`
 * @param by the person
 * @throws DatabaseError if the database failed: then nothing was done, or `written` is `unknown` and it is safe to do it
 *   again
 */
export async function resolveMessage(
  deps: Deps,
  found: Message,
  statement: Statement,
  by: string,
  seen?: SeenAttempt,
): Promise<ResolveResult> {
  const attempt = seen ?? attemptInDoubt(found, await readClock(deps.database))
  if (attempt === null) return { outcome: 'nothing_to_do', why: NOT_IN_DOUBT }
  const event = await eventOf(deps, found, statement, by, attempt)
  if ('why' in event) return { outcome: 'nothing_to_do', why: event.why }
  const { id: messageId } = found
  const target = { id: messageId, proof: proofOf(found) }
  const recorded = await recordUnlessTaken(deps, { target, event })
  if ('why' in recorded) return { outcome: 'nothing_to_do', why: recorded.why }
  if (!recorded.known) return { outcome: 'unknown_message' }
  const { decision } = recorded
  const fields = { messageId, attempt: attempt.attempt, by, statement: event.kind }
  if (decision.kind === 'ignore') {
    deps.logger.info('An attempt in doubt was not resolved', { ...fields, why: decision.why })
    return { outcome: 'nothing_to_do', why: decision.why }
  }
  const { message } = decision
  deps.logger.info('A person resolved an attempt in doubt', {
    ...fields,
    ...(typeof statement === 'object' ? { sid: statement.sid } : {}),
    status: message.status,
    nextRetryAt: message.nextRetryAt,
  })
  return { outcome: 'done', message }
}

const NOT_IN_DOUBT = 'it is not in doubt, or its request may still be under way'

/** Why nothing can be changed: a clause for people. */
interface Refused {
  readonly why: string
}

async function eventOf(
  deps: Deps,
  message: Message,
  statement: Statement,
  by: string,
  { attempt, claimedAt }: SeenAttempt,
): Promise<Extract<Event, { kind: 'adopt' | 'not_sent' }> | Refused> {
  if (statement === 'not_sent') return { kind: 'not_sent', attempt, claimedAt, by }
  const { sid } = statement
  const taken = await findOwner(deps, message, sid)
  if (taken !== null) return taken
  const answer = await readTwilioMessage(deps.twilio, sid)
  if (answer.outcome === 'missing')
    return { why: `Twilio account ${deps.twilio.accountSid} has no message with this sid` }
  if (answer.outcome === 'unavailable')
    return { why: `Twilio could not be asked for the message with this sid: ${answer.reason}` }
  const { status, errorCode, errorText, billing } = answer.message
  return {
    kind: 'adopt',
    attempt,
    claimedAt,
    found: answer.facts,
    sid,
    status,
    errorCode,
    errorText,
    billing,
  }
}

async function findOwner({ database }: Deps, { id, to }: Message, sid: string): Promise<Refused | null> {
  // Only the sid is searched for: no attempt was claimed after this time.
  const since = new Date('9999-01-01T00:00:00.000Z')
  const [owner] = await findOthers(database, { messageId: id, to, since, sids: [sid] })
  return owner === undefined ? null : { why: `message ${owner.id} has this sid` }
}

/** Another message may take the sid at the same time. A unique index of the table then refuses the change. */
async function recordUnlessTaken(deps: Deps, messageEvent: MessageEvent): Promise<RecordResult | Refused> {
  try {
    const [recorded = { known: false } as const] = await recordEvents(deps, [messageEvent])
    return recorded
  } catch (error) {
    const isRefused = error instanceof DatabaseError && error.isRefusal
    const { event } = messageEvent
    const owner = isRefused && event.kind === 'adopt' ? await findIdBySid(deps.database, event.sid) : null
    if (owner === null) throw error
    return { why: `message ${owner} has this sid` }
  }
}
