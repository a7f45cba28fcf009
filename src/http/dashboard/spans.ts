// The time ranges that pages can show.
import { z } from 'zod'
import type { Span } from '../../db/overview.ts'
import { type Html, html } from '../../shared/html.ts'

export interface NamedSpan extends Span {
  readonly name: string
  readonly words: string
  /** A longer range costs more to count and changes less. */
  readonly refreshSeconds: number
}

export const SPANS: readonly NamedSpan[] = [
  { name: '1h', words: 'hour', seconds: 3_600, bucketSeconds: 300, refreshSeconds: 5 },
  { name: '24h', words: '24 hours', seconds: 86_400, bucketSeconds: 3_600, refreshSeconds: 10 },
  { name: '7d', words: '7 days', seconds: 7 * 86_400, bucketSeconds: 6 * 3_600, refreshSeconds: 60 },
  { name: '30d', words: '30 days', seconds: 30 * 86_400, bucketSeconds: 86_400, refreshSeconds: 120 },
]

const BY_NAME: ReadonlyMap<string, NamedSpan> = new Map(SPANS.map((span) => [span.name, span]))

/** Turns the name of a range into the range. */
export const spanName = z.string().transform((name, context) => {
  const span = BY_NAME.get(name)
  if (span !== undefined) return span
  context.addIssue('Unknown time range.')
  return z.NEVER
})

export const spanQuery = z.object({ span: spanName.prefault('24h') })

/** @param rest other fields of the query, which the links keep */
export function spanLinks(
  path: string,
  chosen: NamedSpan,
  rest: Readonly<Record<string, string>> = {},
): Html {
  const links = SPANS.map(({ name }) => {
    const query = new URLSearchParams({ span: name, ...rest }).toString()
    return html`<a href="${path}?${query}"${name === chosen.name ? html` aria-current="true"` : ''}>${name}</a>`
  })
  return html`<nav class="spans" aria-label="Time range">${links}</nav>`
}

/** The numbers of the parts of the span (see LostGroup), from the first to the one of now. */
export function partsUntilNow({ seconds, bucketSeconds }: Span, now: Date): readonly number[] {
  const partOf = (time: number): number => Math.floor(time / bucketSeconds)
  const nowSeconds = now.getTime() / 1000
  const first = partOf(nowSeconds - seconds)
  return Array.from({ length: partOf(nowSeconds) - first + 1 }, (_, i) => first + i)
}

/** When a part begins, for a chart: `2026-11-30 14:00 UTC`. */
export function startText(start: Date): string {
  return `${start.toISOString().slice(0, 16).replace('T', ' ')} UTC`
}
