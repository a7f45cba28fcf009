// Formats times and statuses for the pages.
import { type Html, html } from '../../shared/html.ts'
import { duration } from '../../shared/figures.ts'
import { type DeliveryStatus, isDelivered, isFailure, isFinal } from '../../delivery/status.ts'

/** In UTC, with the distance from now. */
export function formatMoment(time: Date | null, now: Date): Html {
  if (time === null) return html`–`
  const text = time.toISOString()
  const seconds = (time.getTime() - now.getTime()) / 1000
  const distance = seconds > 0 ? `in ${duration(seconds)}` : `${duration(seconds)} ago`
  return html`<time datetime="${text}" title="${text}">${text.slice(0, 19).replace('T', ' ')}</time> <span class="quiet">${distance}</span>`
}

export function shortTime(time: Date): Html {
  const text = time.toISOString()
  return html`<time datetime="${text}" title="${text}">${text.slice(0, 19).replace('T', ' ')}</time>`
}

export function statusBadge(status: DeliveryStatus): Html {
  return html`<span class="badge ${toneOf(status)}">${status}</span>`
}

function toneOf(status: DeliveryStatus): 'good' | 'bad' | 'busy' | 'plain' {
  if (isDelivered(status)) return 'good'
  if (status === 'retrying' || !isFinal(status)) return 'busy'
  return isFailure(status) ? 'bad' : 'plain'
}
