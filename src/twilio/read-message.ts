// Reads one message at Twilio, with the facts by which a person's claim that it is one of ours can be checked.
import type { TwilioConfig } from '../config/config.ts'
import type { NamedMessage } from '../delivery/message.ts'
import { describeFailure, loadApi, Refusal } from './api.ts'
import { type FoundMessage, isInbound, isMissing, toFound } from './lookup.ts'
import { parseJson } from './parse-body.ts'

export type ReadAnswer =
  | { readonly outcome: 'found'; readonly message: FoundMessage; readonly facts: NamedMessage }
  /** This account has no such message. */
  | { readonly outcome: 'missing' }
  | { readonly outcome: 'unavailable'; readonly reason: string }

/** @throws ConfigError if TWILIO_CA_BUNDLE cannot be read */
export async function readTwilioMessage(config: TwilioConfig, sid: string): Promise<ReadAnswer> {
  const api = await loadApi(config)
  try {
    const { body, headers } = await api.get(`/Messages/${sid}.json`)
    const message = toFound(parseJson(body))
    if (message?.sid !== sid) return { outcome: 'unavailable', reason: 'the answer cannot be read' }
    return { outcome: 'found', message, facts: factsOf(parseJson(body) ?? {}, String(headers['date'])) }
  } catch (error) {
    if (error instanceof Refusal && isMissing(error)) return { outcome: 'missing' }
    return { outcome: 'unavailable', reason: describeFailure(error) }
  }
}

function factsOf(fields: Record<string, unknown>, answeredAt: string): NamedMessage {
  const { account_sid: account, to, body, date_created: created } = fields
  const ageSeconds = (Date.parse(answeredAt) - Date.parse(String(created))) / 1000
  return {
    account: typeof account === 'string' ? account : null,
    isInbound: isInbound(fields),
    // An account that redacts numbers shows some digits as X.
    to: typeof to === 'string' && !/x{2}/i.test(to) ? to : null,
    body: typeof body === 'string' ? body : '',
    ageSeconds: Number.isNaN(ageSeconds) ? null : ageSeconds,
  }
}
