// Asks Twilio what became of an attempt: by its sid, or in the message list where the sid is not known.
import { isTwilioStatus, type TwilioStatus } from '../delivery/status.ts'
import { describeFailure, Refusal, type TwilioApi } from './api.ts'
import type { HttpResponse } from './http-client.ts'
import { cleanText, parseJson, SID } from './parse-body.ts'

export interface FoundMessage {
  readonly sid: string
  readonly status: TwilioStatus
  readonly errorCode: number | null
  readonly errorText: string | null
  /** Twilio's word, if it is none that we know: `status` is `accepted` then, the least that it can mean. */
  readonly unknownStatus?: string
}

export interface ListedMessage extends FoundMessage {
  readonly body: string
  /** Seconds since its creation when its page was made, both by Twilio's clock. */
  readonly ageSeconds: number
}

/** Twilio could not be asked: nothing is known. */
export interface Unavailable {
  readonly outcome: 'unavailable'
  readonly reason: string
}

const unavailable = (reason: string): Unavailable => ({ outcome: 'unavailable', reason })

export type FetchAnswer =
  | { readonly outcome: 'found'; readonly message: FoundMessage }
  /** Twilio has no such message (any more). */
  | { readonly outcome: 'missing' }
  | Unavailable

export type ListAnswer =
  | {
      readonly outcome: 'listed'
      readonly messages: readonly ListedMessage[]
      /** False if the list could not be read back to the age that was asked for. */
      readonly isComplete: boolean
    }
  | Unavailable

export async function fetchMessage(api: TwilioApi, sid: string): Promise<FetchAnswer> {
  const response = await ask(api, `/Messages/${sid}.json`)
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
 * The messages to this number that are not older than `maxAgeSeconds`. By number alone: Twilio's own filter by date goes
 * by the date of sending, which a message that was just accepted does not have. Its order may go by that date as well:
 * so the list is read on until a whole page is older.
 *
 * @param signal no further page is asked for once it is aborted, and nothing is known then
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
    const response = await ask(api, next, parameters)
    if (response instanceof Refusal) return toUnavailable(response)
    if ('outcome' in response) return response
    const page = toPage(response, maxAgeSeconds)
    if (page === null) return unavailable('the list cannot be read')
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
  return isLate ? 'the list could not be read in time' : 'the process is being stopped'
}

/** Twilio's code of a resource that it does not have. A 404 of something in between says nothing. */
const NOT_FOUND = 20404
const isMissing = ({ error }: Refusal): boolean => error?.code === NOT_FOUND

const toUnavailable = (error: unknown): Unavailable => ({
  outcome: 'unavailable',
  reason: describeFailure(error),
})

function ask(
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
  /** False if a message in it could not be read, and might be the one that is looked for. */
  readonly isReadable: boolean
  /** True if there is something in it, and all of that is older than what is looked for. */
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

/** A message to a number of one's own is listed twice: as it was sent, and as it was received. */
function isInbound(message: unknown): boolean {
  return (message as { direction?: unknown } | null)?.direction === 'inbound'
}

function toListed(message: unknown, nowMs: number): ListedMessage | null {
  const found = toFound(message)
  const { body } = (message ?? {}) as { body?: unknown }
  const ageSeconds = ageSecondsOf(message, nowMs)
  if (found === null || Number.isNaN(ageSeconds)) return null
  return { ...found, body: typeof body === 'string' ? body : '', ageSeconds }
}

/** NaN, which is neither older nor younger than anything, if it does not say. */
function ageSecondsOf(message: unknown, nowMs: number): number {
  const { date_created: created } = (message ?? {}) as { date_created?: unknown }
  return (nowMs - Date.parse(String(created))) / 1000
}

function toFound(message: unknown): FoundMessage | null {
  if (message === null || typeof message !== 'object') return null
  const { sid, status, error_code: code, error_message: text } = message as Record<string, unknown>
  if (typeof sid !== 'string' || !SID.test(sid)) return null
  return {
    sid,
    ...(typeof status === 'string' && isTwilioStatus(status)
      ? { status }
      : { status: 'accepted', unknownStatus: cleanText(status) ?? 'none' }),
    errorCode: Number(code) || null,
    errorText: cleanText(text),
  }
}
