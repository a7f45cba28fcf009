// Small pictures for rows and cells, as SVG: a bar, an interval, a sparkline and columns. They are drawn without styles of
// their own, which the security headers forbid; dashboard.css has the colours. A text beside each has its figures.
import { type Html, html } from '../../shared/html.ts'

/** Nothing that is there is too thin to be seen. In percent of the width. */
const MIN_WIDTH = 0.6

/** The part from `from` to `to` of a bar that stands for `of`. */
export function bar(tone: string, from: number, to: number, of: number): Html {
  const start = percent(from, of)
  const width = to > from ? Math.max(percent(to, of) - start, MIN_WIDTH) : 0
  return html`<svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true"><rect class="track" width="100" height="1"/><rect class="${tone}" x="${fixed(Math.min(start, 100 - width))}" width="${fixed(width)}" height="1"/></svg>`
}

/** A share with its interval, on a scale from 0 to 100 %. */
export function intervalMark(share: number, { low, high }: { low: number; high: number }): Html {
  const range = html`<rect class="range" x="${fixed(100 * low)}" y="8" width="${fixed(100 * (high - low))}" height="4"/>`
  const point = html`<rect class="point" x="${fixed(99 * share)}" y="3" width="1" height="14"/>`
  return html`<svg class="interval" viewBox="0 0 100 20" preserveAspectRatio="none" aria-hidden="true"><path class="axis" d="M0 10H100M0.2 4V16M50 6V14M99.8 4V16"/>${range}${point}</svg>`
}

/** Values over time as columns, the oldest first. */
export function sparkline(values: readonly number[], label: string): Html {
  const max = Math.max(...values, 1)
  const columns = values.map((value, i) => {
    const height = value === 0 ? 0.5 : Math.max((20 * value) / max, 1.5)
    return `M${fixed(i * 4)} 20v-${fixed(height)}h3v${fixed(height)}z`
  })
  return html`<svg class="spark" viewBox="0 0 ${Math.max(values.length * 4, 4)} 20" preserveAspectRatio="none" role="img" aria-label="${label}: ${values.join(', ')}"><path d="${columns.join('')}"/></svg>`
}

/** Two decimals are finer than a pixel. */
export function fixed(value: number): string {
  return `${Math.round(value * 100) / 100}`
}

function percent(part: number, of: number): number {
  return of === 0 ? 0 : Math.min(100, (100 * part) / of)
}
