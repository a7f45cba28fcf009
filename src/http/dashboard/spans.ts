// The spans of time that pages can be looked at for.
import type { Span } from '../../db/overview.ts'
import { type Html, html } from '../../shared/html.ts'

export interface NamedSpan extends Span {
  readonly name: string
  readonly words: string
  /** A longer span costs more to count, and changes less. */
  readonly refreshSeconds: number
}

export const SPANS: readonly NamedSpan[] = [
  { name: '1h', words: 'hour', seconds: 3_600, bucketSeconds: 300, refreshSeconds: 5 },
  { name: '24h', words: '24 hours', seconds: 86_400, bucketSeconds: 3_600, refreshSeconds: 10 },
  { name: '7d', words: '7 days', seconds: 7 * 86_400, bucketSeconds: 6 * 3_600, refreshSeconds: 60 },
  { name: '30d', words: '30 days', seconds: 30 * 86_400, bucketSeconds: 86_400, refreshSeconds: 120 },
]

const DEFAULT = '24h'

/** Null for a name that there is not; the default for none. */
export function spanNamed(name: unknown): NamedSpan | null {
  return SPANS.find((span) => span.name === (name ?? DEFAULT)) ?? null
}

export function spanLinks(path: string, chosen: NamedSpan): Html {
  const links = SPANS.map(
    ({ name }) =>
      html`<a href="${path}?span=${name}"${name === chosen.name ? html` aria-current="true"` : ''}>${name}</a>`,
  )
  return html`<nav class="spans" aria-label="Span of time">${links}</nav>`
}
