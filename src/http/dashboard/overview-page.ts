// Are messages delivered, and where are the others lost? The targets, the funnel and the trend of a time range.
import { countInDoubt } from '../../db/backlog.ts'
import { countLost, type Lost, MAX_LOST, sumBy } from '../../db/lost.ts'
import {
  type Bucket,
  countMessagesByTime,
  dropOutdated,
  KEPT_SECONDS,
  type KeptCounts,
  partNumber,
} from '../../db/overview.ts'
import { reasonOf } from '../../delivery/error-codes.ts'
import { deliveredShare, type Target, targetsOf } from '../../delivery/targets.ts'
import type { Db } from '../../postgres/pool.ts'
import { type Html, html } from '../../shared/html.ts'
import { count, duration, share } from '../../shared/figures.ts'
import { funnel } from './funnel.ts'
import type { Page } from './layout.ts'
import { type Losses, lossesOf, lossesOfPart } from './loss-reasons.ts'
import { type NamedSpan, startText, spanLinks } from './spans.ts'
import { shortTime } from './time-and-status.ts'
import { trendChart } from './trend-chart.ts'

const DAY_SECONDS = 86_400

/**
 * @param hasAllowlist whether messages to some recipients are canceled
 * @param kept counts of earlier calls
 */
export async function overviewPage(
  db: Db,
  base: string,
  span: NamedSpan,
  hasAllowlist: boolean,
  kept: KeptCounts,
): Promise<Page> {
  const [read, lost, inDoubt] = await Promise.all([
    countMessagesByTime(db, span, kept),
    countLost(db, span),
    countInDoubt(db, span.seconds),
  ])
  // Lost messages are never kept. With older counts beside them, the codes would add up to more than the lost messages.
  const isOutdated =
    lost.isComplete &&
    dropOutdated(
      kept,
      span,
      read.buckets,
      sumBy(lost.groups, ({ part }) => part),
    )
  const counts = isOutdated ? await countMessagesByTime(db, span, kept) : read
  const { whole, buckets } = counts
  const losses = lossesOf(lost, whole.failed)
  return {
    title: 'Overview',
    refreshSeconds: span.refreshSeconds,
    content: html`
<div class="head"><h1>Last ${span.words}</h1>${spanLinks(`${base}/`, span)}</div>
${hasAllowlist ? html`<p class="note">RECIPIENT_ALLOWLIST is set: messages to all other recipients are canceled, and not sent.</p>` : ''}
${whole.messages === 0 ? html`<p class="empty">No messages were created in this time range.</p>` : ''}
${lost.isComplete ? '' : html`<p class="note">The error codes are those of the newest ${count(MAX_LOST)} lost messages. This time range has more.</p>`}
<section aria-label="Targets" class="cards">${targetsOf(whole).map(targetCard)}</section>
<section aria-labelledby="funnel">
<h2 id="funnel">Where the messages went</h2>
${funnel(base, `span=${span.name}`, { ...counts, losses, inDoubt })}
</section>
<section aria-labelledby="trend">
<h2 id="trend">Over time</h2>
${span.seconds > DAY_SECONDS ? html`<p class="quiet">Days before yesterday are counted once in ${duration(KEPT_SECONDS)}. The page that counts them takes longer.</p>` : ''}
${trend(base, span, buckets, lost, losses)}
</section>`,
  }
}

function targetCard({ name, of, wanted, value, isMet }: Target): Html {
  const isShare = 'above' in wanted
  const shown = value === null ? '–' : isShare ? share(value, 1) : value.toFixed(2)
  const goal = isShare ? `more than ${wanted.above * 100} %` : `fewer than ${wanted.below}`
  const verdict = isMet === null ? 'no data yet' : isMet ? 'met' : 'missed'
  const tone = isMet === null ? 'plain' : isMet ? 'good' : 'bad'
  return html`<article class="card" data-target="${name}"><h2>${name}</h2>
<p class="value">${shown}</p>
<p><span class="badge ${tone}">${verdict}</span> target: ${goal}</p>
<p class="quiet">of ${of}</p></article>`
}

/** One kind of lost messages: a colour of the chart, an entry of the legend and a column of the table. */
interface Series {
  readonly tone: string
  readonly name: string
  readonly meaning: Html
  readonly messages: number
}

/** The order is that of lossesOfPart. */
function seriesOf(base: string, query: string, losses: Losses): readonly Series[] {
  const { worst, otherCodes, none, expired, unread } = losses
  return [
    ...worst.map(({ reason, messages }, i) => ({
      tone: `s${i + 1}`,
      name: `${reason}`,
      meaning: html`<a href="${base}/error-codes/${reason}?${query}">${reason}</a> ${reasonOf(Number(reason))}`,
      messages,
    })),
    {
      tone: 's-other',
      name: 'Other',
      meaning: html`all other reasons`,
      messages: otherCodes + none + expired,
    },
    { tone: 's-unread', name: 'Not read', meaning: html`older messages, code not read`, messages: unread },
  ]
}

function trend(base: string, span: NamedSpan, buckets: readonly Bucket[], lost: Lost, losses: Losses): Html {
  const series = seriesOf(base, `span=${span.name}`, losses)
  const parts = buckets.map((bucket) => {
    const { part, whole } = deliveredShare(bucket)
    return {
      ...bucket,
      delivered: part,
      deliveredShare: whole === 0 ? null : part / whole,
      shownShare: share(part, whole),
      lost: lossesOfPart(lost, losses, partNumber(span, bucket.start), bucket.failed),
    }
  })
  type Part = (typeof parts)[number]
  const summaryOf = ({ start, messages, shownShare, failed }: Part): string =>
    `${startText(start)}: ${count(messages)} messages, ${shownShare} delivered, ${count(failed)} lost`
  const seen = series.filter(({ messages }) => messages > 0)
  return html`<div class="card">
${trendChart({
  id: 'trend-of-all',
  title: `Messages of the last ${span.words}`,
  description: `Delivered share, lost messages by error code, and all messages, in parts of ${duration(span.bucketSeconds)}. The table below has the figures.`,
  starts: parts.map(({ start }) => start),
  summaries: parts.map(summaryOf),
  panels: [
    { title: 'Delivered share', height: 90, shares: parts.map((part) => part.deliveredShare) },
    {
      title: 'Lost messages',
      height: 130,
      values: parts.map((part) => part.lost),
      tones: series.map(({ tone }) => tone),
    },
    { title: 'Messages', height: 70, values: parts.map(({ messages }) => [messages]), tones: ['volume'] },
  ],
})}
<ul class="legend">
<li><svg class="swatch" viewBox="0 0 1 1" aria-hidden="true"><rect class="share-key" width="1" height="1"/></svg> delivered share</li>
${seen.map(({ tone, meaning, messages }) => html`<li><svg class="swatch" viewBox="0 0 1 1" aria-hidden="true"><rect class="${tone}" width="1" height="1"/></svg> ${meaning} <span class="quiet">${count(messages)} lost</span></li>`)}
</ul>
</div>
<details><summary>Show as a table</summary><div class="wide" role="region" aria-label="Figures over time" tabindex="0"><table>
<thead><tr><th>From</th><th class="number">Messages</th><th class="number">Delivered</th><th class="number">Delivered share</th><th class="number">Lost</th>${seen.map(({ name }) => html`<th class="number">${name}</th>`)}</tr></thead>
<tbody>${parts.map(
    (part) =>
      html`<tr><td>${shortTime(part.start)}</td><td class="number">${count(part.messages)}</td><td class="number">${count(part.delivered)}</td><td class="number">${part.shownShare}</td><td class="number">${count(part.failed)}</td>${seen.map((each) => html`<td class="number">${count(part.lost[series.indexOf(each)] ?? 0)}</td>`)}</tr>`,
  )}</tbody></table></div></details>`
}
