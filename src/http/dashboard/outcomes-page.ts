// The outcomes that the app has not received: how many wait, and which have failed all deliveries.
import type { OpenOutcome, OutcomeQueue } from '../../jobs/outcome-job.ts'
import { count } from '../../shared/figures.ts'
import { type Html, html } from '../../shared/html.ts'
import { type Page, wideTable } from './layout.ts'
import { formatMoment } from './time-and-status.ts'

/** The result of the action that led to the page. */
export const OUTCOME_NOTICES = {
  redelivered: 'The failed outcomes are delivered again.',
} as const

export type OutcomeNotice = keyof typeof OUTCOME_NOTICES

const MAX_COUNTED = 1_000
const MAX_SHOWN = 100

export async function outcomesPage(
  outcomes: OutcomeQueue,
  base: string,
  now: Date,
  notice: OutcomeNotice | null,
): Promise<Page> {
  const [waiting, failed] = await Promise.all([
    outcomes.listOpen('waiting', MAX_COUNTED),
    outcomes.listOpen('failed', MAX_COUNTED),
  ])
  const oldest = waiting[0]
  return {
    title: 'Outcomes',
    refreshSeconds: 5,
    content: html`
${notice === null ? '' : html`<p class="note" role="status">${OUTCOME_NOTICES[notice]}</p>`}
<h1>Outcomes</h1>
<p>With OUTCOME_EVENTS=true, a worker tells the app what each message came to. A delivery that fails is repeated for about three hours.</p>
<dl class="figures">
<div data-figure="waiting"><dt>Waiting</dt><dd>${countUpTo(waiting)}</dd><dd class="quiet">${oldest === undefined ? 'no outcome waits for a delivery' : html`oldest: ${formatMoment(new Date(oldest.job.at), now)}`}</dd></div>
<div data-figure="failed"><dt>Failed</dt><dd>${countUpTo(failed)}</dd><dd class="quiet">${failed.length === 0 ? 'no outcome failed all deliveries' : 'are kept for 30 days'}</dd></div>
</dl>
${failed.length === 0 ? '' : failedOutcomes(base, failed, now)}`,
  }
}

function countUpTo({ length }: readonly OpenOutcome[]): string {
  return `${count(length)}${length === MAX_COUNTED ? '+' : ''}`
}

function failedOutcomes(base: string, failed: readonly OpenOutcome[], now: Date): Html {
  const shown = failed.slice(0, MAX_SHOWN)
  const row = ({ job, failures, failure }: OpenOutcome): Html =>
    html`<tr><td>${formatMoment(new Date(job.at), now)}</td><td class="number"><a href="${base}/messages/${job.message}">${job.message}</a></td><td>${job.type}</td><td class="number">${job.errorCode ?? ''}</td><td class="number">${failures}</td><td>${failure ?? ''}</td></tr>`
  return html`
<h2>Failed all deliveries</h2>
<form method="post" action="${base}/queue/outcomes"><button>Deliver all again</button></form>
${wideTable('Failed outcomes', html`<table><thead><tr><th scope="col">Decided</th><th scope="col" class="number">Message</th><th scope="col">Type</th><th scope="col" class="number">Error code</th><th scope="col" class="number">Failures</th><th scope="col">Last failure</th></tr></thead><tbody>${shown.map(row)}</tbody></table>`)}
${failed.length > shown.length ? html`<p class="quiet">The oldest ${MAX_SHOWN} are shown.</p>` : ''}`
}
