// Formats times and statuses for the pages.
import { type Html, html } from '../../shared/html.ts'
import { duration } from '../../shared/figures.ts'
import { type DeliveryStatus, isDelivered, isFailure, isFinal } from '../../delivery/status.ts'

/** With the distance from now. */
export function formatMoment(time: Date | null, now: Date): Html {
  if (time === null) return html`–`
  const seconds = (time.getTime() - now.getTime()) / 1000
  const distance = seconds > 0 ? `in ${duration(seconds)}` : `${duration(seconds)} ago`
  return html`${shortTime(time)} <span class="quiet">${distance}</span>`
}

/** In UTC. dashboard.js shows it in the time zone of the browser; the title stays in UTC. */
export function shortTime(time: Date): Html {
  const text = time.toISOString()
  const [day = '', clock = ''] = text.split('T')
  return html`<time datetime="${text}" title="${day} ${clock.slice(0, -1)} UTC">${day} ${clock.slice(0, 8)}</time>`
}

export function statusBadge(status: DeliveryStatus): Html {
  return html`<span class="badge ${toneOf(status)}">${status}</span>`
}

function toneOf(status: DeliveryStatus): 'good' | 'bad' | 'busy' | 'plain' {
  if (isDelivered(status)) return 'good'
  if (status === 'retrying' || !isFinal(status)) return 'busy'
  return isFailure(status) ? 'bad' : 'plain'
}
