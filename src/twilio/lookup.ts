// Looks up the status of an attempt at Twilio: by its sid, or in the message list if its sid is not known.
import type { Billing } from '../delivery/billing.ts'
import { isTwilioStatus, type TwilioStatus } from '../delivery/status.ts'
import { describeFailure, Refusal, type TwilioApi } from './api.ts'
import type { HttpResponse } from './http-client.ts'
import { cleanText, parseJson, SID } from './parse-body.ts'
import { readBilling } from './read-billing.ts'

export interface FoundMessage {
  readonly sid: string
  readonly status: TwilioStatus
  readonly errorCode: number | null
  readonly errorText: string | null
  readonly billing: Billing
  /**
   * The status that Twilio reports, if this version does not know it. `status` is then `accepted`, the lowest possible
   * one.
   */
  readonly unknownStatus?: string
}

export interface ListedMessage extends FoundMessage {
  readonly body: string
  /** The seconds from the creation of the message to the answer, both by Twilio's clock. */
  readonly ageSeconds: number
}

/** The lookup failed, so nothing is known. */
export interface Unavailable {
  readonly outcome: 'unavailable'
  readonly reason: string
}

const unavailable = (reason: string): Unavailable => ({ outcome: 'unavailable', reason })

export type FetchAnswer =
  | { readonly outcome: 'found'; readonly message: FoundMessage }
  /** Twilio does not have the message, or has deleted it. */
  | { readonly outcome: 'missing' }
  | Unavailable

export type ListAnswer =
  | {
      readonly outcome: 'listed'
      readonly messages: readonly ListedMessage[]
      /** False if the list could not be read back to the requested age. */
      readonly isComplete: boolean
    }
  | Unavailable

export async function fetchMessage(api: TwilioApi, sid: string): Promise<FetchAnswer> {
  const response = await request(api, `/Messages/${sid}.json`)
  if (response instanceof Refusal)
    return isMissing(response) ? { outcome: 'missing' } : toUnavailable(response)
  if ('outcome' in response) return response
  const message = toFound(parseJson(response.body))
  if (message?.sid !== sid) return unavailable('the answer cannot be read')
  return { outcome: 'found', message }
}

const PAGE_SIZE = 100
const MAX_PAGES = 20

/**
 * The messages to this number that are at most `maxAgeSeconds` old. Twilio can filter them only by sending date, which
 * a newly accepted message does not have. The list may be ordered by that date too, so pages are read until a whole
 * page is too old.
 *
 * @param signal when aborted, no further page is requested and the result is unavailable
 */
export async function listMessagesTo(
  api: TwilioApi,
  to: string,
  maxAgeSeconds: number,
  signal?: AbortSignal,
): Promise<ListAnswer> {
  const messages: ListedMessage[] = []
  let isComplete = true
  let next: string | null = '/Messages.json'
  let parameters: Readonly<Record<string, string>> = { To: to, PageSize: `${PAGE_SIZE}` }
  for (let pages = 0; next !== null; pages += 1) {
    if (signal?.aborted) return unavailable(whyAborted(signal))
    if (pages === MAX_PAGES) return { outcome: 'listed', messages, isComplete: false }
    const response = await request(api, next, parameters)
    if (response instanceof Refusal) return toUnavailable(response)
    if ('outcome' in response) return response
    const page = toPage(response, maxAgeSeconds)
    if (page === null) return unavailable("Twilio's message list cannot be read")
    isComplete &&= page.isReadable
    messages.push(...page.messages.filter(({ ageSeconds }) => ageSeconds <= maxAgeSeconds))
    if (page.isTooOld) break
    next = page.next
    parameters = {}
  }
  return { outcome: 'listed', messages, isComplete }
}

function whyAborted({ reason }: AbortSignal): string {
  const isLate = reason instanceof DOMException && reason.name === 'TimeoutError'
  return isLate ? "Twilio's message list took too long" : 'the process is stopping'
}

/** Twilio's code for a resource that does not exist. A 404 without this code may come from a proxy. */
const NOT_FOUND = 20404
export const isMissing = ({ error }: Refusal): boolean => error?.code === NOT_FOUND

const toUnavailable = (error: unknown): Unavailable => ({
  outcome: 'unavailable',
  reason: describeFailure(error),
})

function request(
  api: TwilioApi,
  path: string,
  parameters?: Readonly<Record<string, string>>,
): Promise<HttpResponse | Refusal | Unavailable> {
  return api
    .get(path, parameters)
    .catch((error: unknown) => (error instanceof Refusal ? error : toUnavailable(error)))
}

interface Page {
  readonly messages: readonly ListedMessage[]
  readonly next: string | null
  /** False if an entry could not be read: it may be the one that is searched for. */
  readonly isReadable: boolean
  /** True if the page has entries, and all are older than requested. */
  readonly isTooOld: boolean
}

function toPage({ body, headers }: HttpResponse, maxAgeSeconds: number): Page | null {
  const { messages, next_page_uri: next } = parseJson(body) ?? {}
  const nowMs = Date.parse(String(headers['date']))
  if (!Array.isArray(messages) || Number.isNaN(nowMs)) return null
  const outbound = messages.filter((message: unknown) => !isInbound(message))
  const listed = outbound.map((message: unknown) => toListed(message, nowMs))
  const readable = listed.filter((message) => message !== null)
  return {
    messages: readable,
    next: typeof next === 'string' ? next : null,
    isReadable: readable.length === listed.length,
    isTooOld:
      messages.length > 0 &&
      messages.every((message: unknown) => ageSecondsOf(message, nowMs) > maxAgeSeconds),
  }
}

/** A message to a number of the same account is listed twice: as sent, and as received. */
export function isInbound(message: unknown): boolean {
  return (message as { direction?: unknown } | null)?.direction === 'inbound'
}

function toListed(message: unknown, nowMs: number): ListedMessage | null {
  const found = toFound(message)
  const { body } = (message ?? {}) as { body?: unknown }
  const ageSeconds = ageSecondsOf(message, nowMs)
  if (found === null || Number.isNaN(ageSeconds)) return null
  return { ...found, body: typeof body === 'string' ? body : '', ageSeconds }
}

/** The age of the entry. Without a time it is NaN, which is neither more nor less than any age. */
function ageSecondsOf(message: unknown, nowMs: number): number {
  const { date_created: created } = (message ?? {}) as { date_created?: unknown }
  return (nowMs - Date.parse(String(created))) / 1000
}

export function toFound(message: unknown): FoundMessage | null {
  if (message === null || typeof message !== 'object') return null
  const fields = message as Record<string, unknown>
  const { sid, status, error_code: code, error_message: text } = fields
  if (typeof sid !== 'string' || !SID.test(sid)) return null
  return {
    sid,
    ...(typeof status === 'string' && isTwilioStatus(status)
      ? { status }
      : { status: 'accepted', unknownStatus: cleanText(status) ?? 'none' }),
    errorCode: Number(code) || null,
    errorText: cleanText(text),
    billing: readBilling(fields['num_segments'], fields['price'], fields['price_unit']),
  }
}
