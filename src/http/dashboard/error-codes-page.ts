// Why messages are lost: one row for each error code, those that lose most first, with the cost of their retries.
import { z } from 'zod'
import { readCodeFigures } from '../../db/failed-attempts.ts'
import { MAX_READ_FAILURES } from '../../db/failures.ts'
import { countLost, MAX_LOST } from '../../db/lost.ts'
import { reasonOf } from '../../delivery/error-codes.ts'
import type { RetryPolicy } from '../../delivery/retry-policy.ts'
import {
  money,
  priceWords,
  type RetryFigures,
  type SegmentPrice,
  segmentsPerRecovered,
} from '../../evidence/retry-cost.ts'
import type { Db } from '../../postgres/pool.ts'
import { count, share } from '../../shared/figures.ts'
import { type Html, html } from '../../shared/html.ts'
import { CODE_SORTS, type CodeRow, codeRows, type CodeSort, sortCodes } from './code-sorting.ts'
import type { Page } from './layout.ts'
import { sparkline } from './marks.ts'
import { describePolicy } from './policy-words.ts'
import { type NamedSpan, partsUntilNow, spanLinks, spanName } from './spans.ts'

export const errorCodesQuery = z.object({
  span: spanName.prefault('24h'),
  sort: z.enum(CODE_SORTS).default('lost'),
})

interface CodesView {
  readonly base: string
  readonly policy: RetryPolicy
  /** The database's clock. */
  readonly now: Date
  /** Null if no attempt has a price. */
  readonly price: SegmentPrice | null
}

export async function errorCodesPage(
  db: Db,
  view: CodesView,
  { span, sort }: z.infer<typeof errorCodesQuery>,
): Promise<Page> {
  const { base, now, price } = view
  const [figures, lost, before] = await Promise.all([
    readCodeFigures(db, span.seconds),
    countLost(db, span),
    countLost(db, span, 'before'),
  ])
  const rows = sortCodes(codeRows(figures.codes, lost, before), sort)
  const parts = partsUntilNow(span, now)
  return {
    title: 'Error codes',
    refreshSeconds: span.refreshSeconds * 6,
    content: html`
<div class="head"><h1>Error codes in the last ${span.words}</h1>${spanLinks(`${base}/error-codes`, span, { sort })}</div>
${figures.isComplete ? '' : html`<p class="note">Messages, recovered, retries and segments are those of the newest ${count(MAX_READ_FAILURES)} messages with a failed attempt. This time range has more.</p>`}
${lost.isComplete && before.isComplete ? '' : html`<p class="note">Lost messages are those of the newest ${count(MAX_LOST)} of each time range. There are more, so their change is unknown.</p>`}
${
  rows.length === 0
    ? html`<p class="empty">No attempt failed.</p>`
    : html`<div class="wide"><table class="codes stacked">
<thead><tr><th>Code</th>${COLUMNS.map((column) => headOf(base, span, column, sort))}<th>Lost over time</th></tr></thead>
<tbody>${rows.map((row) => rowOf(view, span, row, parts))}</tbody></table></div>
<p class="quiet">Lost: failed for good or expired, with this code as the latest. Change: compared with the ${span.words} before. Recovered: messages with this failure that were delivered in the end. Retries: those that followed this failure. Segments: billed for these retries. Per recovered: segments of the retries for each recovered message. ${price === null ? '' : priceWords(price)} Set RETRY_POLICY_FILE to change the policy.</p>`
}`,
  }
}

const COLUMNS: readonly (readonly [sort: CodeSort, label: string])[] = [
  ['lost', 'Lost'],
  ['change', 'Change'],
  ['messages', 'Messages'],
  ['recovered', 'Recovered'],
  ['retries', 'Retries'],
  ['segments', 'Segments'],
  ['cost', 'Per recovered'],
]

function headOf(
  base: string,
  span: NamedSpan,
  [sort, label]: (typeof COLUMNS)[number],
  chosen: CodeSort,
): Html {
  const order = sort === chosen ? html` aria-sort="descending"` : ''
  return html`<th class="number"${order}><a href="${base}/error-codes?span=${span.name}&sort=${sort}">${label}</a></th>`
}

function rowOf(
  { base, policy, price }: CodesView,
  span: NamedSpan,
  row: CodeRow,
  parts: readonly number[],
): Html {
  const { code, lost, change, messages, recovered, retries, lostByPart } = row
  const name = code ?? 'none'
  const cell = (label: string, value: Html | string): Html =>
    html`<td class="number" data-label="${label}">${value}</td>`
  return html`<tr data-code="${name}"><th scope="row"><a href="${base}/error-codes/${name}?span=${span.name}">${name}</a> <span class="meaning">${reasonOf(code)}</span> <span class="quiet">Policy: ${describePolicy(policy, code)}</span></th>
${cell('Lost', html`<strong>${count(lost)}</strong>`)}
${cell('Change', changeOf(change))}
${cell('Messages', count(messages))}
${cell('Recovered', html`${count(recovered)} <span class="quiet">${share(recovered, messages)}</span>`)}
${cell('Retries', count(retries))}
${cell('Segments', segmentsOf(row))}
${cell('Per recovered', perRecovered(row, price))}
<td data-label="Lost over time">${sparkline(
    parts.map((part) => lostByPart.get(part) ?? 0),
    'Lost over time',
  )}</td></tr>`
}

export function changeOf(difference: number | null): string {
  if (difference === null) return '–'
  return difference === 0 ? '±0' : difference > 0 ? `+${count(difference)}` : `−${count(-difference)}`
}

/** The segments of the retries for each recovered message, and what they cost. */
export function perRecovered(figures: RetryFigures, price: SegmentPrice | null): Html {
  const segments = segmentsPerRecovered(figures)
  if (segments === null) return html`–`
  return html`${segments.toFixed(1)}${price === null ? '' : html` <span class="quiet">${money(segments, price)}</span>`}`
}

/** Twilio states the segments of an attempt in its answers. Older rows do not have them. */
function segmentsOf({
  segments,
  segmentsUnknown,
  retries,
}: Pick<CodeRow, 'segments' | 'segmentsUnknown' | 'retries'>): Html {
  if (segmentsUnknown === 0) return html`${count(segments)}`
  const known = segmentsUnknown === retries ? '–' : count(segments)
  return html`${known} <span class="quiet">${count(segmentsUnknown)} ${segmentsUnknown === 1 ? 'retry' : 'retries'} unknown</span>`
}
