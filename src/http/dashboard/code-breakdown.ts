// The failures with one code by the country of the recipient and by the hour of day. Shows calling codes only, no numbers.
import type { FailedAttempt } from '../../db/failed-attempts.ts'
import { callingCodeOf } from '../../shared/calling-code.ts'
import { count, share } from '../../shared/figures.ts'
import { type Html, html } from '../../shared/html.ts'
import { bar } from './marks.ts'

export interface Breakdown {
  /** `+44`, or `other` for what is no calling code of a country. */
  readonly prefix: string
  readonly countries: readonly string[]
  readonly messages: number
  readonly recovered: number
}

/** The prefix with most messages first. */
export function byPrefix(attempts: readonly FailedAttempt[]): readonly Breakdown[] {
  // A message counts once, however often it failed.
  const messages = new Map(attempts.map((attempt) => [attempt.id, attempt]))
  const groups = Map.groupBy(messages.values(), ({ prefix }) => callingCodeOf(prefix)?.code ?? 'other')
  return [...groups]
    .map(([prefix, of]) => ({
      prefix,
      countries: callingCodeOf(prefix)?.countries ?? [],
      messages: of.length,
      recovered: of.filter(({ isRecovered }) => isRecovered).length,
    }))
    .toSorted((one, other) => other.messages - one.messages)
}

const MAX_PREFIXES = 12

export function prefixTable(attempts: readonly FailedAttempt[]): Html {
  const all = byPrefix(attempts)
  const shown = all.slice(0, MAX_PREFIXES)
  const most = shown[0]?.messages ?? 0
  return html`<div class="wide"><table class="breakdown stacked">
<thead><tr><th>Prefix</th><th>Country</th><th class="number">Messages</th><th class="number">Recovered</th><td></td></tr></thead>
<tbody>${shown.map(
    ({ prefix, countries, messages, recovered }) =>
      html`<tr data-prefix="${prefix}"><th scope="row">${prefix}</th><td data-label="Country">${nameOf(countries)}</td><td class="number" data-label="Messages">${count(messages)}</td><td class="number" data-label="Recovered">${share(recovered, messages)}</td><td class="drawn">${bar('volume', 0, messages, most)}</td></tr>`,
  )}</tbody></table></div>
${all.length > shown.length ? html`<p class="quiet">${count(all.length - shown.length)} more prefixes with fewer messages are left out.</p>` : ''}`
}

const NAMES = new Intl.DisplayNames('en', { type: 'region' })

/** Countries share a calling code: 25 of them that of North America, at most four any other. */
function nameOf(countries: readonly string[]): string {
  if (countries.length === 0) return 'no country'
  if (countries.includes('US')) return 'North America'
  return countries.map((country) => NAMES.of(country) ?? country).join(', ')
}

const HOUR = /T(\d\d):/

/** The failed attempts of each hour of the day in UTC, from 0 to 23. */
export function byHour(attempts: readonly FailedAttempt[]): readonly number[] {
  const hours = attempts.map(({ failedAt }) => Number(HOUR.exec(failedAt ?? '')?.[1] ?? Number.NaN))
  return Array.from({ length: 24 }, (_, hour) => hours.filter((each) => each === hour).length)
}

export function hoursTable(attempts: readonly FailedAttempt[]): Html {
  const hours = byHour(attempts)
  const most = Math.max(...hours)
  return html`<div class="hours">${hours.map(
    (failures, hour) =>
      html`<div data-hour="${hour}"><span>${String(hour).padStart(2, '0')}:00</span>${bar('volume', 0, failures, most)}<span class="number">${count(failures)}</span></div>`,
  )}</div><p class="quiet">Failed attempts by the hour in which they failed, in UTC.</p>`
}
