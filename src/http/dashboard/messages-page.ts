// Looking for messages: a form whose fields are the page's query, and the result page by page, the newest first.
import { parseMessageId } from '../../delivery/message-proof.ts'
import type { Db } from '../../postgres/pool.ts'
import { type Cursor, type Search, searchMessages } from '../../db/search.ts'
import type { StoredMessage } from '../../db/messages.ts'
import {
  DELIVERY_STATUSES,
  type DeliveryStatus,
  isDelivered,
  isFailure,
  isFinal,
} from '../../delivery/status.ts'
import { type Html, html } from '../../shared/html.ts'
import { maskNumber, maskReason, SHOWN_DIGITS } from '../../shared/log.ts'
import type { Page } from './layout.ts'
import { type NamedSpan, SPANS, spanNamed } from './spans.ts'
import { shortTime, statusBadge } from './words.ts'

const PAGE_SIZE = 50

/** Several statuses by one name. */
const GROUPS: ReadonlyMap<string, readonly DeliveryStatus[]> = new Map([
  ['delivered', DELIVERY_STATUSES.filter(isDelivered)],
  ['failed-for-good', DELIVERY_STATUSES.filter((status) => isFailure(status) && status !== 'retrying')],
  ['in-flight', DELIVERY_STATUSES.filter((status) => !isFinal(status))],
])

interface Form {
  readonly search: Search
  readonly after: Cursor | null
  /** As they came, for the fields and the links. */
  readonly fields: Readonly<Record<string, string>>
}

const FIELDS = ['span', 'status', 'code', 'number', 'user', 'since', 'until', 'after', 'after-id'] as const
type Field = (typeof FIELDS)[number]

/**
 * Who sees the last digits only must not find out the others by searching for them one by one: more digits than the pages
 * show match a whole number or nothing.
 */
function numberOf(digits: string, showContent: boolean): Search['number'] {
  if (digits === '') return null
  return { digits, part: showContent || digits.length <= SHOWN_DIGITS ? 'end' : 'whole' }
}

/** What is asked for; a text that says which field cannot be understood. Fields that are empty or absent ask nothing. */
export function parseForm(
  query: Readonly<Record<string, unknown>>,
  now: Date,
  showContent: boolean,
): Form | string {
  const field = (name: Field): string => (typeof query[name] === 'string' ? query[name].trim() : '')
  const fields = Object.fromEntries(FIELDS.map((name) => [name, field(name)]))
  const status = field('status')
  const statuses =
    status === '' ? null : (GROUPS.get(status) ?? DELIVERY_STATUSES.filter((each) => each === status))
  if (statuses?.length === 0) return 'There is no such status.'
  const code = field('code')
  if (!/^\d{0,6}$/.test(code)) return 'An error code is a number such as 30003.'
  const digits = field('number').replace(/[\s()+.-]/g, '')
  if (!/^\d{0,15}$/.test(digits)) return 'Give the last digits of a phone number, or all of them.'
  const user = field('user')
  if (!/^\d{0,10}$/.test(user) || Number(user) > MAX_USER)
    return 'A user is a whole number (the column user_id).'
  const [since, until] = [timeOf(field('since')), timeOf(field('until'))]
  if (since === undefined || until === undefined) return 'A time is written as 2026-07-01T12:00 (UTC).'
  const span = spanNamed(field('span') || 'all')
  if (span === null && !['', 'all'].includes(field('span'))) return 'There is no such span.'
  const [after, afterId] = [field('after'), field('after-id')]
  if (after !== '' && (!POSITION.test(after) || parseMessageId(afterId) === null))
    return 'This link to a page is not whole.'
  return {
    fields,
    search: {
      statuses,
      code: code === '' ? null : Number(code),
      number: numberOf(digits, showContent),
      userId: user === '' ? null : Number(user),
      since: since ?? (span === null ? null : new Date(now.getTime() - span.seconds * 1000)),
      until,
    },
    after: after === '' ? null : { createdAt: after, id: Number(afterId) },
  }
}

const MAX_USER = 2 ** 31 - 1
/** As PostgreSQL writes it: an app may have put times there in milliseconds instead of seconds, or nonsense. */
const POSITION =
  /^(-infinity|\d{4,6}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01]) ([01]\d|2[0-3])(:[0-5]\d){2}(\.\d{1,6})?([+-]\d\d(:\d\d)?)?)$/

/** Null for none, undefined for one that is not a time. What browsers send has no zone: it is UTC. */
function timeOf(text: string): Date | null | undefined {
  if (text === '') return null
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/.test(text)) return undefined
  const time = new Date(`${text}Z`)
  return Number.isNaN(time.getTime()) ? undefined : time
}

export async function messagesPage(
  db: Db,
  base: string,
  { search, after, fields }: Form,
  showContent: boolean,
): Promise<Page> {
  const { messages, next } = await searchMessages(db, search, after, PAGE_SIZE)
  const older = new URLSearchParams(
    Object.entries(fields).filter(([name, value]) => value !== '' && !name.startsWith('after')),
  )
  const newest = older.toString()
  if (next !== null) {
    older.set('after', next.createdAt)
    older.set('after-id', `${next.id}`)
  }
  return {
    title: 'Messages',
    content: html`
<h1>Messages</h1>
${filterForm(base, fields, showContent)}
${messages.length === 0 ? html`<p class="empty">${next === null ? 'No messages match.' : 'None of the messages searched so far match; there are older ones.'}</p>` : messageTable(base, messages, showContent)}
<nav class="pages" aria-label="Pages of messages">
${after === null ? '' : html`<a href="${base}/messages?${newest}">Newest</a>`}
${next === null ? '' : html`<a rel="next" href="${base}/messages?${older.toString()}">Older</a>`}
</nav>`,
  }
}

function filterForm(base: string, fields: Readonly<Record<string, string>>, showContent: boolean): Html {
  const option = (value: string, chosen: string | undefined, label = value): Html =>
    html`<option value="${value}"${value === (chosen ?? '') ? html` selected` : ''}>${label}</option>`
  const text = (name: Field, label: string, hint: string): Html =>
    html`<label>${label}<input name="${name}" value="${fields[name] ?? ''}" placeholder="${hint}" inputmode="numeric" autocomplete="off"></label>`
  const time = (name: Field, label: string): Html =>
    html`<label>${label}<input type="datetime-local" name="${name}" value="${fields[name] ?? ''}"></label>`
  return html`<form class="filter" method="get" action="${base}/messages" role="search">
<label>Status<select name="status">${option('', fields['status'], 'any')}
<optgroup label="Groups">${[...GROUPS.keys()].map((name) => option(name, fields['status'], name.replaceAll('-', ' ')))}</optgroup>
<optgroup label="One status">${DELIVERY_STATUSES.filter((status) => status !== 'delivered').map((status) => option(status, fields['status']))}</optgroup></select></label>
${text('code', 'Error code', '30003')}
${text('number', showContent ? 'Number ends with' : `Last ${SHOWN_DIGITS} digits, or the whole number`, '0123')}
${text('user', 'User', '7')}
<label>In the last<select name="span">${option('', fields['span'], 'any time')}${SPANS.map(({ name, words }: NamedSpan) => option(name, fields['span'], words))}</select></label>
${time('since', 'From (UTC)')}
${time('until', 'Before (UTC)')}
<button>Filter</button> <a href="${base}/messages">Clear</a>
</form>
<form class="filter" method="get" action="${base}/messages/find"><label>Message id or Twilio sid<input name="what" required autocomplete="off" placeholder="42 or SM…"></label><button>Open</button></form>`
}

function messageTable(base: string, messages: readonly StoredMessage[], showContent: boolean): Html {
  const row = (message: StoredMessage): Html => {
    const { id, createdAt, to, userId, status, attempts, retryCount, reason } = message
    const code = attempts.findLast(({ errorCode }) => errorCode !== null)?.errorCode
    const why = reason === null ? '' : showContent ? reason : maskReason(reason, to)
    return html`<tr><td class="number"><a href="${base}/messages/${id}">${id}</a></td><td>${shortTime(createdAt)}</td>
<td>${showContent ? to : maskNumber(to)}</td><td class="number">${userId}</td><td>${statusBadge(status)}</td>
<td>${code ?? ''}</td><td class="number">${retryCount}</td><td>${why}</td></tr>`
  }
  return html`<div class="wide"><table class="messages">
<thead><tr><th class="number">Id</th><th>Created</th><th>To</th><th class="number">User</th><th>Status</th><th>Code</th><th class="number">Retries</th><th>Why</th></tr></thead>
<tbody>${messages.map(row)}</tbody></table></div>`
}
