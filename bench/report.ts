// The results as tables that can be read on a terminal and are Markdown as well, so that both show the same.
import type { SectionResult, Spread } from './run-section.ts'
import { isMet } from './run-section.ts'
import type { Bar } from './section.ts'

export function sectionReport(result: SectionResult): string {
  const { name, cases, rounds, bars } = result
  const title = `## ${name}`
  if (cases.size === 0) return `${title}\n\nLeft out.\n`
  const how = rounds === 1 ? 'One round.' : `Median (least to most) of ${rounds} rounds.`
  const parts = [title, how, caseTable(result)]
  if (bars.length > 0) parts.push(barTable(bars))
  return `${parts.join('\n\n')}\n`
}

function caseTable({ cases }: SectionResult): string {
  const figures = [...new Set([...cases.values()].flatMap((spreads) => [...spreads.keys()]))]
  const first = [...cases.values()][0]
  // A rate is best seen beside that of the first case.
  const columns = figures.flatMap((figure) =>
    figure.endsWith('/s') && cases.size > 1 ? [figure, 'ratio'] : [figure],
  )
  const rows = [...cases].map(([name, spreads]) => [
    name,
    ...figures.flatMap((figure) => {
      const spread = spreads.get(figure)
      const cell = spread === undefined ? '' : spreadText(spread)
      if (!figure.endsWith('/s') || cases.size === 1) return [cell]
      const base = first?.get(figure)?.median
      return [cell, spread === undefined || base === undefined ? '' : (spread.median / base).toFixed(2)]
    }),
  ])
  return table(['case', ...columns], rows)
}

function barTable(bars: readonly Bar[]): string {
  const rows = bars.map((bar) => [bar.what, numberText(bar.value), ...wantedAndHow(bar)])
  return table(['bar', 'value', 'wanted', ''], rows)
}

function wantedAndHow(bar: Bar): [wanted: string, how: string] {
  const { least, most } = bar
  if (least === undefined && most === undefined) return ['', '']
  return [least === undefined ? `at most ${most}` : `at least ${least}`, isMet(bar) ? 'met' : 'MISSED']
}

function spreadText({ median, least, most }: Spread): string {
  if (least === most) return numberText(median)
  return `${numberText(median)} (${numberText(least)} to ${numberText(most)})`
}

/** Three digits are more than such a measurement is good for. */
function numberText(value: number): string {
  if (!Number.isFinite(value)) return '?'
  return Math.abs(value) >= 100
    ? Math.round(value).toLocaleString('en')
    : `${Number(value.toPrecision(Math.abs(value) < 1 ? 2 : 3))}`
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows]
  const widths = head.map((_, column) => Math.max(3, ...all.map((row) => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]): string => {
    const padded = cells.map((cell, i) =>
      i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0),
    )
    return `| ${padded.join(' | ')} |`
  }
  const rule = widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`))
  return [line(head), line(rule), ...rows.map(line)].join('\n')
}
