// The funnel: what became of the messages of a time range. Each figure has a bar: those of the whole show where the
// messages went, and those of a part show what the part consists of.
import type { CountsByTime } from '../../db/overview.ts'
import { reasonOf } from '../../delivery/error-codes.ts'
import { deliveredShare } from '../../delivery/targets.ts'
import { count, share } from '../../shared/figures.ts'
import { type Html, html } from '../../shared/html.ts'
import type { Losses } from './loss-reasons.ts'
import { bar } from './marks.ts'

interface Row {
  /** Names the figure for tests and scripts. */
  readonly key: string
  readonly label: string
  readonly messages: number
  readonly path?: string
  readonly note?: string
  readonly tone: string
  /** Where its bar begins. */
  readonly from?: number
  /** Part of the row above. */
  readonly isInner?: true
}

/** A figure, and what it consists of. */
interface Part extends Row {
  readonly rows: readonly Row[]
}

/** Messages with more retries than this are one figure. */
const MAX_RETRIES_SHOWN = 3

export interface FunnelCounts extends CountsByTime {
  readonly losses: Losses
  readonly inDoubt: number
}

/** @param query selects the time range in links */
export function funnel(base: string, query: string, counts: FunnelCounts): Html {
  const { messages } = counts.whole
  const parts = partsOf(counts)
  return html`<dl class="funnel">
${figure(base, query, { key: 'messages', label: 'Messages', messages, path: '/messages?', tone: 'volume' }, messages, 'whole')}
${parts.map((part) => html`${figure(base, query, part, messages, 'part')}${part.rows.filter((row) => row.messages > 0).map((row) => figure(base, query, row, part.messages, 'detail'))}`)}
</dl>
<p class="quiet">Indented shares are of the bold line above them, the others of all messages.</p>`
}

function partsOf({ whole, recoveredBy, losses, inDoubt }: FunnelCounts): readonly Part[] {
  const { deliveredAtFirst, deliveredByRetry, failed, canceled, inFlight, retrying } = whole
  const delivered = deliveredAtFirst + deliveredByRetry
  const known = deliveredShare(whole)
  return [
    {
      ...{ key: 'delivered', label: 'Delivered', messages: delivered, tone: 'good' },
      path: '/messages?status=delivered&',
      note: known.whole === 0 ? '' : `${share(known.part, known.whole)} of the known outcomes`,
      rows: [
        { key: 'at-first', label: 'at the first try', messages: deliveredAtFirst, tone: 'good' },
        {
          ...{ key: 'recovered', label: 'recovered by retry', messages: deliveredByRetry, tone: 'retry' },
          from: deliveredAtFirst,
        },
        ...recoveredRows(recoveredBy, deliveredAtFirst),
      ],
    },
    {
      ...{ key: 'failed', label: 'Lost (failed for good)', messages: failed, tone: 'bad', from: delivered },
      path: '/messages?status=failed-for-good&',
      rows: lossRows(losses),
    },
    {
      ...{ key: 'canceled', label: 'Canceled', messages: canceled, tone: 'plain', from: delivered + failed },
      path: '/messages?status=canceled&',
      rows: [],
    },
    {
      ...{ key: 'in-flight', label: 'In flight', messages: inFlight, tone: 'busy' },
      from: delivered + failed + canceled,
      path: '/messages?status=in-flight&',
      rows: [
        {
          ...{ key: 'retrying', label: 'waiting for a retry', messages: retrying, tone: 'busy' },
          path: '/messages?status=retrying&',
        },
      ],
    },
    {
      ...{ key: 'in-doubt', label: 'In doubt', messages: inDoubt, tone: 'doubt' },
      from: delivered + failed + canceled,
      path: '/messages?status=submitting&',
      note: 'unknown whether Twilio received it',
      rows: [],
    },
  ]
}

/** The retry that delivered the message, those above the last one together. */
function recoveredRows(recoveredBy: CountsByTime['recoveredBy'], deliveredAtFirst: number): readonly Row[] {
  let from = deliveredAtFirst
  const rows: Row[] = []
  for (let retry = 1; retry <= MAX_RETRIES_SHOWN + 1; retry += 1) {
    const isLast = retry > MAX_RETRIES_SHOWN
    const messages = recoveredBy
      .filter((each) => (isLast ? each.retry >= retry : each.retry === retry))
      .reduce((sum, each) => sum + each.messages, 0)
    const label = `by ${isLast ? `retry ${retry} or later` : `retry ${retry}`}`
    rows.push({ key: `retry-${retry}`, label, messages, tone: 'retry', from, isInner: true })
    from += messages
  }
  return rows
}

function lossRows({ worst, otherCodes, none, expired, unread }: Losses): readonly Row[] {
  const rows = [
    ...worst.map(({ reason, messages }, i) => ({
      ...{ key: `lost-${reason}`, label: `${reason}: ${reasonOf(Number(reason))}`, messages },
      ...{ path: `/error-codes/${reason}?`, tone: `s${i + 1}` },
    })),
    { key: 'lost-other', label: 'other codes', messages: otherCodes, path: '/error-codes?', tone: 's-other' },
    { key: 'lost-none', label: 'no error code', messages: none, path: '/error-codes/none?', tone: 's-other' },
    { key: 'lost-expired', label: 'expired before any failure', messages: expired, tone: 's-other' },
    { key: 'lost-unread', label: 'older, code not read', messages: unread, tone: 's-unread' },
  ]
  let from = 0
  return rows.map((row) => {
    const placed = { ...row, from }
    from += row.messages
    return placed
  })
}

function figure(base: string, query: string, row: Row, of: number, level: string): Html {
  const { key, label, messages, path, note, tone, from = 0, isInner } = row
  const value =
    path === undefined ? count(messages) : html`<a href="${base}${path}${query}">${count(messages)}</a>`
  const words = note ?? (level === 'whole' ? '' : share(messages, of))
  const isWarning = key === 'in-doubt' && messages > 0
  const classes = [level, isInner && 'inner', note !== undefined && 'noted', isWarning && 'warning']
  return html`<div class="${classes.filter((name) => name !== false && name !== undefined).join(' ')}" data-figure="${key}"><dt>${label}</dt><dd>${value}</dd><dd class="quiet">${words}</dd><dd class="drawn">${bar(tone, from, from + messages, of)}</dd></div>`
}
