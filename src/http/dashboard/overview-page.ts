// Are messages delivered? The targets, the figures and the trend of a time range.
import { countInDoubt } from '../../db/backlog.ts'
import { type Bucket, countMessagesByTime, type Overview } from '../../db/overview.ts'
import type { Db } from '../../postgres/pool.ts'
import { type Target, targetsOf } from '../../delivery/targets.ts'
import { type Html, html } from '../../shared/html.ts'
import { count, share } from '../../shared/figures.ts'
import type { Page } from './layout.ts'
import { type NamedSpan, spanLinks } from './spans.ts'
import { shortTime } from './time-and-status.ts'

/** @param hasAllowlist whether messages to some recipients are canceled */
export async function overviewPage(
  db: Db,
  base: string,
  span: NamedSpan,
  hasAllowlist: boolean,
): Promise<Page> {
  const [{ whole, buckets }, inDoubt] = await Promise.all([
    countMessagesByTime(db, span),
    countInDoubt(db, span.seconds),
  ])
  return {
    title: 'Overview',
    refreshSeconds: span.refreshSeconds,
    content: html`
<div class="head"><h1>Last ${span.words}</h1>${spanLinks(`${base}/`, span)}</div>
${hasAllowlist ? html`<p class="note">RECIPIENT_ALLOWLIST is set: messages to all other recipients are canceled, and not sent.</p>` : ''}
${whole.messages === 0 ? html`<p class="empty">No messages were created in this time range.</p>` : ''}
<section aria-label="Targets" class="cards">${targetsOf(whole).map(targetCard)}</section>
<section aria-label="Figures"><dl class="figures">${figures(base, span, whole, inDoubt)}</dl></section>
<section aria-label="Trend">
<h2>Delivery rate and failures</h2>
${chart(buckets)}
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

function figures(base: string, { name }: NamedSpan, whole: Overview, inDoubt: number): Html[] {
  const { messages, deliveredAtFirst, deliveredByRetry, failed, canceled, inFlight } = whole
  const delivered = deliveredAtFirst + deliveredByRetry
  const link = (query: string, value: number): Html =>
    html`<a href="${base}/messages?span=${name}${query}">${count(value)}</a>`
  const figure = (key: string, label: string, value: Html | string, of: string): Html =>
    html`<div data-figure="${key}"><dt>${label}</dt><dd>${value}</dd><dd class="quiet">${of}</dd></div>`
  return [
    figure('messages', 'Messages', link('', messages), canceled === 0 ? '' : `${count(canceled)} canceled`),
    figure(
      'delivered',
      'Delivered',
      link('&status=delivered', delivered),
      `${share(delivered, messages)} of all`,
    ),
    figure(
      'recovered',
      'Recovered by retry',
      count(deliveredByRetry),
      `${share(deliveredByRetry, messages)} of all`,
    ),
    figure(
      'failed',
      'Failed for good',
      link('&status=failed-for-good', failed),
      `${share(failed, messages)} of all`,
    ),
    figure(
      'in-flight',
      'In flight',
      link('&status=in-flight', inFlight),
      `${count(whole.retrying)} waiting for a retry`,
    ),
    figure('in-doubt', 'In doubt', link('&status=submitting', inDoubt), 'unknown whether Twilio received it'),
  ]
}

/** The script draws the table's figures. Without JavaScript only the table is shown. */
function chart(buckets: readonly Bucket[]): Html {
  const rows = buckets.map(({ start, messages, deliveredAtFirst, deliveredByRetry, failed }) => {
    const delivered = deliveredAtFirst + deliveredByRetry
    const percent = delivered + failed === 0 ? null : (100 * delivered) / (delivered + failed)
    return { start, messages, delivered, failed, percent }
  })
  const series = [
    rows.map(({ start }) => start.getTime() / 1000),
    rows.map(({ failed }) => failed),
    rows.map(({ percent }) => percent),
  ]
  return html`
<div id="chart" hidden data-series="${JSON.stringify(series)}"></div>
<details><summary>Show as a table</summary><div class="wide"><table>
<thead><tr><th>From</th><th class="number">Messages</th><th class="number">Delivered</th><th class="number">Failed</th><th class="number">Delivery rate</th></tr></thead>
<tbody>${rows.map(
    ({ start, messages, delivered, failed }) =>
      html`<tr><td>${shortTime(start)}</td><td class="number">${count(messages)}</td><td class="number">${count(delivered)}</td><td class="number">${count(failed)}</td><td class="number">${share(delivered, delivered + failed)}</td></tr>`,
  )}</tbody></table></div></details>`
}
