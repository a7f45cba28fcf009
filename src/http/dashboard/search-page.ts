// The messages page: a filter form whose fields are the page's query, and the matching messages, newest first.
import { type SearchPage, searchMessages } from '../../db/search.ts'
import type { StoredMessage } from '../../db/messages.ts'
import { latestCode } from '../../delivery/outcome.ts'
import type { Db } from '../../postgres/pool.ts'
import { DELIVERY_STATUSES } from '../../delivery/status.ts'
import { isEmptySearch, STATUS_GROUPS } from '../../messages/message-filter.ts'
import { count } from '../../shared/figures.ts'
import { type Html, html } from '../../shared/html.ts'
import { SHOWN_DIGITS } from '../../shared/log.ts'
import type { Page } from './layout.ts'
import { type FilterFields, filterParameters, type FilterQuery } from './filter-query.ts'
import { CSV_LIMITS } from './messages-csv.ts'
import { shortMetadata, shownNumber, shownReason, shownUser } from './shown-message.ts'
import { SPANS } from './spans.ts'
import { shortTime, statusBadge } from './time-and-status.ts'

const PAGE_SIZE = 50

export async function searchPage(
  db: Db,
  base: string,
  filter: FilterQuery,
  showContent: boolean,
): Promise<Page> {
  const { search, after, fields } = filter
  const found = await searchMessages(db, search, after, { limit: PAGE_SIZE })
  return {
    title: 'Messages',
    content: html`
<h1>Messages</h1>
${filterForm(base, filter, showContent)}
${search.number === null && search.userId === null ? '' : html`<p class="quiet">A search by number or user reads all messages of its time range. A shorter range is faster.</p>`}
${found.messages.length === 0 ? '' : filterLinks(base, fields, isEmptySearch(search))}
${found.messages.length === 0 ? noMessages(found) : messageTable(base, found.messages, showContent)}
${pageLinks(base, found, fields)}`,
  }
}

/** What can be done with all messages of the filter. Bulk actions need one; their pages count, and ask to confirm. */
function filterLinks(base: string, fields: FilterFields, isEmpty: boolean): Html {
  const query = filterParameters(fields).toString()
  const link = (path: string, label: string): Html =>
    html`<a class="button" href="${base}${path}?${query}">${label}</a>`
  const bulk = html`${link('/messages/bulk/retry', 'Retry all that match')} ${link('/messages/bulk/cancel', 'Cancel all that match')} `
  return html`<p class="actions">${isEmpty ? '' : bulk}${link('/messages.csv', 'Download CSV')} <span class="quiet">up to ${count(CSV_LIMITS.maxMessages)} messages</span></p>`
}

function noMessages({ next }: SearchPage): Html {
  return html`<p class="empty">${next === null ? 'No messages match.' : 'No messages match so far. Older messages have not been searched yet.'}</p>`
}

function pageLinks(base: string, { next }: SearchPage, fields: FilterFields): Html {
  const filter = [...filterParameters(fields)]
  const link = (position: Readonly<Record<string, string>>): string =>
    `${base}/messages?${new URLSearchParams([...filter, ...Object.entries(position)]).toString()}`
  return html`<nav class="pages" aria-label="Pages of messages">
${fields.after === '' ? '' : html`<a href="${link({})}">Newest</a>`}
${next === null ? '' : html`<a rel="next" href="${link({ after: next.createdAt, 'after-id': `${next.id}` })}">Older</a>`}
</nav>`
}

const SINGLE_STATUSES = DELIVERY_STATUSES.filter((status) => status !== 'delivered')
const LISTED: readonly string[] = [...STATUS_GROUPS.keys(), ...SINGLE_STATUSES]

function filterForm(base: string, { fields, search }: FilterQuery, showContent: boolean): Html {
  const option = (value: string, chosen: string, label = value): Html =>
    html`<option value="${value}"${value === chosen ? html` selected` : ''}>${label}</option>`
  const field = (name: keyof FilterFields, label: string, hint: string, mode = 'text'): Html =>
    html`<label>${label}<input name="${name}" value="${fields[name]}" placeholder="${hint}" inputmode="${mode}" autocomplete="off"></label>`
  const time = (name: 'since' | 'until', label: string): Html =>
    html`<label>${label}<input type="datetime-local" name="${name}" value="${localTime(fields[name], search[name])}" step="any"></label>`
  return html`<form class="filter" method="get" action="${base}/messages" role="search">
<label>Status<select name="status">${option('', fields.status, 'any')}${fields.status === '' || LISTED.includes(fields.status) ? '' : option(fields.status, fields.status)}
<optgroup label="Groups">${[...STATUS_GROUPS.keys()].map((name) => option(name, fields.status, name.replaceAll('-', ' ')))}</optgroup>
<optgroup label="Single status">${SINGLE_STATUSES.map((status) => option(status, fields.status))}</optgroup></select></label>
${field('code', 'Error code', '30003', 'numeric')}
${field('number', showContent ? 'Number ends with' : `Last ${SHOWN_DIGITS} digits or full number`, '0123', 'numeric')}
${field('user', 'User', '7')}
${field('metadata', 'Metadata', 'order=1001')}
<label>In the last<select name="span">${option('', fields.span, 'any time')}${SPANS.map(({ name, words }) => option(name, fields.span, words))}</select></label>
${time('since', 'From (UTC)')}
${time('until', 'Before (UTC)')}
<button>Filter</button> <a href="${base}/messages">Clear</a>
</form>
<form class="filter" method="get" action="${base}/messages/find"><label>Message ID or Twilio SID<input name="what" required autocomplete="off" placeholder="42 or SM…"></label><button>Open</button></form>`
}

/** The field takes no duration and no zone: the next search would lack such a condition. */
function localTime(text: string, time: Date | null): string {
  if (text === '' || time === null || /T[\d:]+$/.test(text)) return text
  return time.toISOString().slice(0, 19)
}

/** On a narrow screen, each row is a card: a cell with a label shows it, an empty one is left out. */
function messageTable(base: string, messages: readonly StoredMessage[], showContent: boolean): Html {
  const row = (message: StoredMessage): Html => {
    const { id, createdAt, status, retryCount } = message
    const metadata = shortMetadata(message, showContent).map((value) => html`<span>${value}</span> `)
    return html`<tr><td class="number"><a href="${base}/messages/${id}">${id}</a></td><td>${shortTime(createdAt)}</td>
<td class="code" data-label="To">${shownNumber(message, showContent)}</td>${labeled('User', shownUser(message, showContent))}<td>${statusBadge(status)}</td>
<td data-label="Code">${latestCode(message) ?? ''}</td>${labeled('Retries', retryCount)}<td class="line">${shownReason(message, showContent) ?? ''}</td><td class="line values">${metadata}</td></tr>`
  }
  const labeled = (name: string, value: string | number | null): Html =>
    html`<td class="number" data-label="${name}">${value ?? ''}</td>`
  const head = (name: string, isNumber = false): Html =>
    html`<th scope="col"${isNumber ? html` class="number"` : ''}>${name}</th>`
  return html`<div class="wide"><table class="messages"><caption class="hidden">Messages, the newest first</caption>
<thead><tr>${head('ID', true)}${head('Created')}${head('To')}${head('User', true)}${head('Status')}${head('Code')}${head('Retries', true)}${head('Reason')}${head('Metadata')}</tr></thead>
<tbody>${messages.map(row)}</tbody></table></div>`
}
