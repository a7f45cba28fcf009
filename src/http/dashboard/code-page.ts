// One error code: what it means, what the policy does about it, and what the history shows.
import { type FailedAttempt, readFailedAttempts, readMessages } from '../../db/failed-attempts.ts'
import { MAX_READ_FAILURES } from '../../db/failures.ts'
import { countLost, type Lost, type LostGroup, MAX_LOST, sumBy } from '../../db/lost.ts'
import type { StoredMessage } from '../../db/messages.ts'
import { reasonOf } from '../../delivery/error-codes.ts'
import { type RetryPolicy, ruleFor, scheduleOf } from '../../delivery/retry-policy.ts'
import type { Db } from '../../postgres/pool.ts'
import type { SegmentPrice } from '../../evidence/retry-cost.ts'
import { count, duration, share } from '../../shared/figures.ts'
import { type Html, html } from '../../shared/html.ts'
import { hoursTable, prefixTable } from './code-breakdown.ts'
import { isWithFailure } from './code-sorting.ts'
import { changeOf, perRecovered } from './error-codes-page.ts'
import type { Page } from './layout.ts'
import { adviceSection, type CurrentAdvice } from './policy-advice.ts'
import { describePolicy } from './policy-words.ts'
import { shownNumber } from './shown-message.ts'
import { type NamedSpan, partsUntilNow, startText, spanLinks } from './spans.ts'
import { successCurve } from './success-curve.ts'
import { shortTime, statusBadge } from './time-and-status.ts'
import { trendChart } from './trend-chart.ts'

/** The code that a path names: `none` for failures without a code, undefined for what is no code. */
export function parseCode(text: string): number | null | undefined {
  if (text === 'none') return null
  return /^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined
}

export interface CodeView {
  readonly base: string
  readonly policy: RetryPolicy
  readonly showContent: boolean
  /** The database's clock. */
  readonly now: Date
  /** Null while the history is read for the first time. */
  readonly advice: CurrentAdvice | null
  /** Null if no attempt has a price. */
  readonly price: SegmentPrice | null
}

const NEWEST_SHOWN = 10

export async function codePage(db: Db, view: CodeView, code: number | null, span: NamedSpan): Promise<Page> {
  const [{ attempts, isComplete }, lost, before] = await Promise.all([
    readFailedAttempts(db, code, span.seconds),
    countLost(db, span),
    countLost(db, span, 'before'),
  ])
  const ids = [...new Set(attempts.map(({ id }) => id))]
  const newest = await readMessages(db, ids.slice(0, NEWEST_SHOWN))
  const withCode = ({ groups }: Lost): readonly LostGroup[] =>
    groups.filter((group) => group.code === code && isWithFailure(group))
  const lostNow = total(withCode(lost))
  const { base, policy } = view
  return {
    title: code === null ? 'No error code' : `Error code ${code}`,
    refreshSeconds: span.refreshSeconds * 6,
    content: html`
<div class="head"><h1>${code === null ? 'Failures without an error code' : `Error code ${code}`}</h1>${spanLinks(`${base}/error-codes/${code ?? 'none'}`, span)}</div>
<p><strong>${reasonOf(code)}.</strong>${code === null ? '' : html` <a href="https://www.twilio.com/docs/api/errors/${code}" rel="noreferrer">Twilio's page on ${code}</a>`}</p>
<p>Policy: ${describePolicy(policy, code)}. ${scheduleInWords(policy, code)}</p>
${isComplete ? '' : html`<p class="note">Based on the newest messages with a failed attempt, at most ${count(MAX_READ_FAILURES)}. This time range has more.</p>`}
${lost.isComplete && before.isComplete ? '' : html`<p class="note">Lost messages are counted among the newest ${count(MAX_LOST)} of each time range. There are more.</p>`}
<dl class="figures">${figures(attempts, lostNow, lost.isComplete && before.isComplete ? lostNow - total(withCode(before)) : null, span, view.price)}</dl>
${lostOverTime(span, view.now, withCode(lost))}
${adviceSection(code, policy, view.advice)}
${attempts.length === 0 ? html`<p class="empty">No attempt failed this way in the last ${span.words}.</p>` : history(attempts)}
${newest.length === 0 ? '' : newestMessages(view, newest, code, span)}`,
  }
}

function history(attempts: readonly FailedAttempt[]): Html {
  return html`<section aria-labelledby="curve"><h2 id="curve">Success of retries by delay</h2>${successCurve(attempts)}</section>
<section aria-labelledby="prefixes"><h2 id="prefixes">By country prefix</h2>${prefixTable(attempts)}</section>
<section aria-labelledby="hours"><h2 id="hours">By hour of day</h2>${hoursTable(attempts)}</section>`
}

function lostOverTime(span: NamedSpan, now: Date, groups: readonly LostGroup[]): Html {
  if (groups.length === 0) return html``
  const byPart = sumBy(groups, ({ part }) => part)
  const parts = partsUntilNow(span, now)
  const starts = parts.map((part) => new Date(part * span.bucketSeconds * 1000))
  const values = parts.map((part) => byPart.get(part) ?? 0)
  const chart = trendChart({
    id: 'lost',
    title: `Messages lost with this code in the last ${span.words}`,
    description: `In parts of ${duration(span.bucketSeconds)}, the oldest first: ${values.join(', ')}.`,
    starts,
    summaries: starts.map((start, i) => `${startText(start)}: ${count(values[i] ?? 0)} lost`),
    panels: [{ title: 'Lost messages', height: 110, values: values.map((each) => [each]), tones: ['s1'] }],
  })
  return html`<section aria-labelledby="over-time"><h2 id="over-time">Over time</h2><div class="card">${chart}</div></section>`
}

function scheduleInWords(policy: RetryPolicy, code: number | null): string {
  const delays = scheduleOf(policy, ruleFor(policy, code)) ?? []
  if (delays.length === 0) return ''
  const whole = delays.reduce((sum, each) => sum + each, 0)
  const jitter = policy.jitter === 0 ? '' : ` Jitter adds up to ${policy.jitter * 100} %.`
  return `The last retry is made ${duration(whole)} after the first failure at the earliest.${jitter}`
}

function figures(
  attempts: readonly FailedAttempt[],
  lost: number,
  change: number | null,
  span: NamedSpan,
  price: SegmentPrice | null,
): readonly Html[] {
  const messages = new Set(attempts.map(({ id }) => id)).size
  const recovered = new Set(attempts.filter(({ isRecovered }) => isRecovered).map(({ id }) => id)).size
  const retries = attempts.flatMap(({ retry }) => retry ?? [])
  const known = retries.flatMap(({ segments }) => (segments === null ? [] : [segments]))
  const segments = known.reduce((sum, each) => sum + each, 0)
  const unknown = retries.length - known.length
  const figure = (key: string, label: string, value: Html | string, words: string): Html =>
    html`<div data-figure="${key}"><dt>${label}</dt><dd>${value}</dd><dd class="quiet">${words}</dd></div>`
  return [
    figure(
      'lost',
      'Lost',
      count(lost),
      change === null ? 'change unknown' : `${changeOf(change)} from the ${span.words} before`,
    ),
    figure('messages', 'Messages', count(messages), `${count(attempts.length)} failed attempts`),
    figure('recovered', 'Recovered', count(recovered), `${share(recovered, messages)} of the messages`),
    figure('retries', 'Retries', count(retries.length), 'made after this failure'),
    figure(
      'segments',
      'Segments',
      known.length === 0 && unknown > 0 ? '–' : count(segments),
      `billed for these retries${unknown === 0 ? '' : `; ${count(unknown)} unknown`}`,
    ),
    figure(
      'cost',
      'Per recovered',
      perRecovered({ retries: retries.length, segments, segmentsUnknown: unknown, recovered }, price),
      'segments of retries for each recovered message',
    ),
  ]
}

function newestMessages(
  { base, showContent }: CodeView,
  messages: readonly StoredMessage[],
  code: number | null,
  span: NamedSpan,
): Html {
  const row = (message: StoredMessage): Html => {
    const { id, createdAt, status, retryCount } = message
    return html`<tr><td class="number"><a href="${base}/messages/${id}">${id}</a></td><td>${shortTime(createdAt)}</td><td>${shownNumber(message, showContent)}</td><td>${statusBadge(status)}</td><td class="number" data-label="Retries">${retryCount}</td></tr>`
  }
  return html`<section aria-labelledby="newest"><h2 id="newest">Newest messages</h2>
<div class="wide"><table class="messages">
<thead><tr><th class="number">ID</th><th>Created</th><th>To</th><th>Status</th><th class="number">Retries</th></tr></thead>
<tbody>${messages.map(row)}</tbody></table></div>
${code === null ? '' : html`<p><a href="${base}/messages?span=${span.name}&code=${code}">All messages with ${code}</a></p>`}</section>`
}

function total(counts: readonly { readonly messages: number }[]): number {
  return counts.reduce((sum, { messages }) => sum + messages, 0)
}
