// How figures, times and statuses are written on the pages.
import { type Html, html } from '../../html.ts'
import { type DeliveryStatus, isDelivered, isFailure, isFinal } from '../../delivery/status.ts'

export function count(value: number): string {
  return value.toLocaleString('en')
}

/** With the digits that tell 99.9 from 100: nothing is rounded up to all, nor down to none. */
export function share(part: number, whole: number): string {
  if (whole === 0) return '–'
  const percent = (100 * part) / whole
  const shown = percent.toFixed(1)
  if (shown === '100.0') return part === whole ? '100 %' : '> 99.9 %'
  if (shown === '0.0') return part === 0 ? '0 %' : '< 0.1 %'
  return `${shown} %`
}

/** Of a number of seconds, the two largest units. */
export function duration(seconds: number): string {
  const whole = Math.round(Math.abs(seconds))
  const units: [string, number][] = [
    ['d', 86_400],
    ['h', 3_600],
    ['min', 60],
    ['s', 1],
  ]
  const first = units.findIndex(([, size]) => whole >= size)
  if (first === -1) return '0 s'
  let rest = whole
  return units
    .slice(first, first + 2)
    .flatMap(([name, size]) => {
      const many = Math.floor(rest / size)
      rest -= many * size
      return many === 0 ? [] : [`${many} ${name}`]
    })
    .join(' ')
}

/** In UTC, with how long ago or ahead it is. */
export function moment(time: Date | null, now: Date): Html {
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

export function toneOf(status: DeliveryStatus): 'good' | 'bad' | 'busy' | 'plain' {
  if (isDelivered(status)) return 'good'
  if (status === 'retrying' || !isFinal(status)) return 'busy'
  return isFailure(status) ? 'bad' : 'plain'
}
