// GET Messages.json: filters, paging, and the links that the twilio package follows. message-store.ts selects the messages
// and sorts them, newest first.
import type { StoredMessage } from './message-store.ts'
import { type Refusal, refusal } from './twilio-errors.ts'

const PAGE_SIZE_DEFAULT = 50
const PAGE_SIZE_MAX = 1000
const DAY_MS = 86_400_000

/**
 * @param path of the list, for the links
 * @returns the JSON answer or a refusal
 */
export function listMessages(newestFirst: StoredMessage[], path: string, query: URLSearchParams) {
  const filter = readFilter(query)
  const pageSize = readPageSize(query.get('PageSize'))
  const page = readWhole(query.get('Page') ?? '0')
  if (filter === null || pageSize === null || page === null) return refusal(20422)

  const matching = newestFirst.filter(filter)
  const token = query.get('PageToken')
  const range =
    token === null
      ? { start: page * pageSize, end: (page + 1) * pageSize }
      : readToken(token, matching, pageSize)
  if (range === null) return refusal(20422, `Invalid PageToken: ${token}`)

  const shown = matching.slice(range.start, range.end)
  const first = shown.at(0)
  const last = shown.at(-1)
  const link = (number: number, pageToken?: string) => {
    const parameters = new URLSearchParams(query)
    parameters.delete('PageToken')
    parameters.set('PageSize', String(pageSize))
    parameters.set('Page', String(number))
    if (pageToken !== undefined) parameters.set('PageToken', pageToken)
    return `${path}?${parameters}`
  }
  const hasNext = last !== undefined && range.start + shown.length < matching.length
  const hasPrevious = first !== undefined && range.start > 0
  return {
    first_page_uri: link(0),
    end: page * pageSize + Math.max(shown.length - 1, 0),
    previous_page_uri: hasPrevious ? link(Math.max(page - 1, 0), `PB${first.resource.sid}`) : null,
    messages: shown.map(({ resource }) => resource),
    uri: link(page, token ?? undefined),
    page_size: pageSize,
    start: page * pageSize,
    next_page_uri: hasNext ? link(page + 1, `PA${last.resource.sid}`) : null,
    page,
  }
}

export function isListRefusal(answer: ReturnType<typeof listMessages>): answer is Refusal {
  return 'code' in answer
}

/**
 * As at Twilio, a token names a message, not an offset: PA + sid starts after it, PB + sid ends before it. New messages
 * therefore neither repeat nor hide others while a client pages through the list.
 */
function readToken(token: string, matching: StoredMessage[], pageSize: number) {
  const index = matching.findIndex(({ resource }) => resource.sid === token.slice(2))
  if (index === -1) return null
  if (token.startsWith('PA')) return { start: index + 1, end: index + 1 + pageSize }
  return token.startsWith('PB') ? { start: Math.max(index - pageSize, 0), end: index } : null
}

function readFilter(query: URLSearchParams): ((message: StoredMessage) => boolean) | null {
  const to = query.get('To')
  const from = query.get('From')
  const onDayMs = readTimeMs(query.get('DateSent'))
  const notAfterMs = readTimeMs(query.get('DateSent<'))
  const notBeforeMs = readTimeMs(query.get('DateSent>'))
  if ([onDayMs, notAfterMs, notBeforeMs].some(Number.isNaN)) return null
  const byDate = onDayMs !== null || notAfterMs !== null || notBeforeMs !== null
  return ({ resource }) => {
    if (to !== null && resource.to !== to) return false
    if (from !== null && resource.from !== from) return false
    if (!byDate) return true
    // A message not sent yet has no date, so a list by date omits it. Dates are compared in whole seconds, as the API shows
    // them.
    if (resource.date_sent === null) return false
    const sentMs = Date.parse(resource.date_sent)
    if (notAfterMs !== null && sentMs > notAfterMs) return false
    if (notBeforeMs !== null && sentMs < notBeforeMs) return false
    return onDayMs === null || Math.floor(sentMs / DAY_MS) === Math.floor(onDayMs / DAY_MS)
  }
}

/** `YYYY-MM-DD` (midnight) or `YYYY-MM-DDThh:mm:ssZ`, in GMT. NaN for anything else. */
function readTimeMs(text: string | null): number | null {
  if (text === null) return null
  return /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}Z)?$/.test(text) ? Date.parse(text) : Number.NaN
}

/** Lowers a size above the maximum instead of refusing it: the package's `list({ limit: 5000 })` asks for 5,000 a page. */
function readPageSize(text: string | null): number | null {
  if (text === null) return PAGE_SIZE_DEFAULT
  const size = readWhole(text)
  return size === null || size === 0 ? null : Math.min(size, PAGE_SIZE_MAX)
}

function readWhole(text: string): number | null {
  return /^\d{1,9}$/.test(text) ? Number(text) : null
}
