// The banner of every page while there is an incident, apart from a hold or a pause (account-banner.ts): what is wrong, what
// to do, and the page with the rows.
import type { Finding } from '../../delivery/health-finding.ts'
import { type Html, html } from '../../shared/html.ts'

/** Empty without findings. Says so if they could not be read (null): no banner would mean that all is well. */
export function findingsBanner(base: string, findings: readonly Finding[] | null): Html {
  if (findings === null)
    return html`<section class="note banner findings busy" aria-label="Incidents">
<div role="status"><p><strong>Incidents are unknown: their figures could not be read.</strong></p>
<p>The log of the web process has the reason. <code>sms-retry status</code> tries again.</p></div>
</section>`
  const shown = findings.filter(({ name }) => name !== 'hold' && name !== 'paused')
  if (shown.length === 0) return html``
  const isCritical = shown.some(({ severity }) => severity === 'critical')
  return html`<section class="note banner findings ${isCritical ? 'bad' : 'busy'}" aria-label="Incidents">
<div role="status"><ul>${shown.map((finding) => item(base, finding))}</ul></div>
</section>`
}

function item(base: string, { name, severity, sentence, advice, path }: Finding): Html {
  const tone = severity === 'critical' ? 'bad' : 'busy'
  return html`<li data-finding="${name}"><p><span class="badge ${tone}">${severity}</span> <strong>${sentence}.</strong></p>
<p>${advice} <a href="${base}${path}" aria-label="Show details: ${name.replaceAll('_', ' ')}">Show details</a></p></li>`
}
