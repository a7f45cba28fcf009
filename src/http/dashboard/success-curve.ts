// The share of retries that were delivered, by their delay: evidence for the delays of the policy.
import type { FailedAttempt } from '../../db/failed-attempts.ts'
import { secondsBetween } from '../../db/failures.ts'
import { isAttemptStatus, isDelivered, isFailedAttempt } from '../../delivery/status.ts'
import { type Interval, wilsonInterval } from '../../evidence/wilson.ts'
import { count, duration, share } from '../../shared/figures.ts'
import { type Html, html } from '../../shared/html.ts'
import { intervalMark } from './marks.ts'

export interface DelayBucket {
  readonly fromSeconds: number
  /** Exclusive. */
  readonly toSeconds: number
  readonly trials: number
  readonly delivered: number
  /** Contains the true share with a confidence of 90 %. */
  readonly interval: Interval
}

const MINUTE = 60
const HOUR = 60 * MINUTE
/** The delays of the default policy lie inside of these buckets, with their jitter. */
const BOUNDS = [
  ...[0, 1, 2, 4, 8, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 4, 8, 16, 32].map((n) => n * HOUR),
  Number.POSITIVE_INFINITY,
]

/** Only retries with a known outcome and with both times. A bucket without retries is left out. */
export function successByDelay(attempts: readonly FailedAttempt[]): readonly DelayBucket[] {
  const retries = attempts.flatMap(knownRetry)
  return BOUNDS.slice(1).flatMap((toSeconds, i) => {
    const fromSeconds = BOUNDS[i] ?? 0
    const within = retries.filter(({ delay }) => delay >= fromSeconds && delay < toSeconds)
    if (within.length === 0) return []
    const delivered = within.filter((retry) => retry.isDelivered).length
    const interval = wilsonInterval(delivered, within.length)
    return [{ fromSeconds, toSeconds, trials: within.length, delivered, interval }]
  })
}

function knownRetry({ failedAt, retry }: FailedAttempt): { delay: number; isDelivered: boolean }[] {
  if (retry === null || !isAttemptStatus(retry.status)) return []
  const arrived = isDelivered(retry.status)
  if (!arrived && !isFailedAttempt(retry.status)) return []
  const delay =
    failedAt === null || retry.claimedAt === null ? null : secondsBetween(failedAt, retry.claimedAt)
  return delay === null || delay < 0 ? [] : [{ delay, isDelivered: arrived }]
}

export function successCurve(attempts: readonly FailedAttempt[]): Html {
  const buckets = successByDelay(attempts)
  if (buckets.length === 0) return html`<p class="empty">No retry after this failure has a known outcome.</p>`
  return html`<div class="wide"><table class="curve stacked">
<thead><tr><th>Delay</th><th class="number">Retries</th><th class="number">Delivered</th><th class="number">Share</th><th class="number">90 % interval</th><th class="mark"><div><span>0 %</span><span>50 %</span><span>100 %</span></div></th></tr></thead>
<tbody>${buckets.map(bucketRow)}</tbody></table></div>
<p class="quiet">The delay is the time from the failure to the retry. The true share lies within the interval in nine of ten cases, if the retries do not depend on each other. During an outage they do.</p>`
}

function bucketRow({ fromSeconds, toSeconds, trials, delivered, interval }: DelayBucket): Html {
  const cell = (label: string, value: string): Html =>
    html`<td class="number" data-label="${label}">${value}</td>`
  return html`<tr data-delay="${fromSeconds}"><th scope="row">${rangeOf(fromSeconds, toSeconds)}</th>
${cell('Retries', count(trials))}${cell('Delivered', count(delivered))}${cell('Share', share(delivered, trials))}
${cell('90 % interval', `${percent(interval.low)} to ${percent(interval.high)} %`)}
<td class="mark">${intervalMark(delivered / trials, interval)}</td></tr>`
}

function rangeOf(from: number, to: number): string {
  if (from === 0) return `less than ${duration(to)}`
  return Number.isFinite(to) ? `${duration(from)} to ${duration(to)}` : `${duration(from)} or more`
}

const percent = (value: number): string => (100 * value).toFixed(0)
