// The page that asks to confirm a retry or cancellation of all messages that match a filter. Its counts are those of a dry run.
import type { Search } from '../../db/search.ts'
import type { Action } from '../../messages/act-on-message.ts'
import type { BulkResult } from '../../messages/bulk-result.ts'
import { count } from '../../shared/figures.ts'
import { type Html, html } from '../../shared/html.ts'
import type { FilterFields } from './filter-query.ts'
import type { Page } from './layout.ts'
import { shortTime } from './time-and-status.ts'

export interface BulkView {
  readonly base: string
  readonly kind: Action['kind']
  readonly search: Search
  readonly fields: FilterFields
  /** Where the form is sent. */
  readonly action: string
  /** The messages page with this filter. */
  readonly messages: string
  /** What earlier clicks have done. */
  readonly soFar: Pick<BulkResult, 'matched' | 'changed' | 'failed'>
  /** What is left; null if nothing is. */
  readonly planned: BulkResult | null
  readonly maxPerClick: number
}

const WORDS = {
  retry: { title: 'Retry all that match', verb: 'Retry', done: 'retried' },
  cancel: { title: 'Cancel all that match', verb: 'Cancel', done: 'canceled' },
} as const

export function bulkPage(view: BulkView): Page {
  const { kind, soFar, planned, messages } = view
  const { title, done } = WORDS[kind]
  return {
    title,
    content: html`
<h1>${title}</h1>
${filterOf(view)}
${soFar.matched === 0 ? '' : html`<p class="note" role="status">${count(soFar.changed)} of ${count(soFar.matched)} messages ${done}.${soFar.failed === 0 ? '' : ` ${count(soFar.failed)} failed: their rows are locked, or the database refuses the change.`}</p>`}
${planned === null ? html`<p>All messages that matched are done.</p>` : counts(planned, view)}
<p><a href="${messages}">Back to the messages</a></p>`,
  }
}

function filterOf({ fields, search: { since, until } }: BulkView): Html {
  const names = ['status', 'code', 'number', 'user', 'metadata'] as const
  const facts: (readonly [string, Html | string])[] = names.flatMap((name) =>
    fields[name] === '' ? [] : [[LABELS[name], fields[name]]],
  )
  if (since !== null) facts.push(['From', shortTime(since)])
  if (until !== null) facts.push(['Before', shortTime(until)])
  if (since === null && until === null) facts.push(['Created', 'at any time'])
  return html`<dl class="facts">${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`
}

const LABELS = {
  status: 'Status',
  code: 'Error code',
  number: 'Number',
  user: 'User',
  metadata: 'Metadata',
} as const

function counts(
  { matched, changed, unchanged, isComplete }: BulkResult,
  { kind, action, soFar, maxPerClick }: BulkView,
): Html {
  const { verb, done } = WORDS[kind]
  const more = isComplete ? '' : 'at least '
  const left = soFar.matched === 0 ? '' : ' more'
  return html`<p>${more}${count(matched)}${left} ${matched === 1 ? 'message matches' : 'messages match'}. ${more}${count(changed)} would be ${done}.</p>
${unchanged.size === 0 ? '' : html`<p>These would not be changed:</p><ul>${[...unchanged].slice(0, MAX_REASONS).map(([why, many]) => html`<li>${count(many)}: ${why}</li>`)}</ul>`}
${matched > maxPerClick || !isComplete ? html`<p>Each click handles up to ${count(maxPerClick)} messages, the oldest first.</p>` : ''}
${kind === 'retry' ? html`<p class="quiet">Retries are spread over time, at half of SEND_RATE_PER_SECOND, or 50 per second.</p>` : ''}
${changed === 0 && isComplete ? '' : html`<form method="post" action="${action}"><button class="bad">${soFar.matched === 0 ? verb : `${verb} more`}</button></form>`}`
}

const MAX_REASONS = 20
