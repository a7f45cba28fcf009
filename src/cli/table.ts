// Fits tables and texts into the terminal. Widths are in terminal columns: a Chinese character or an emoji takes two.
// Output to a pipe or a file is never cut.
import stringWidth from 'string-width'
import { printableLine } from '../shared/printable.ts'
import { type Style, styled } from '../shared/output.ts'

/** A plain text, or a text with a style. */
export type Cell = string | { readonly text: string; readonly style: Style }

const GAP = 2

/** Columns are as wide as their contents. A line is cut at the edge of the terminal, so put the least important column last. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const all = [head.map((text): Cell => ({ text, style: 'bold' })), ...rows].map((row) => row.map(printable))
  const widths = head.map((_, column) => Math.max(...all.map((row) => stringWidth(row[column]?.text ?? ''))))
  const maxWidth = terminalWidth()
  return all.map((row) => lineOf(row, widths, maxWidth)).join('\n')
}

interface PrintableCell {
  readonly text: string
  readonly style: Style | null
}

function printable(cell: Cell): PrintableCell {
  const { text, style } = typeof cell === 'string' ? { text: cell, style: null } : cell
  return { text: printableLine(text), style }
}

function lineOf(row: readonly PrintableCell[], widths: readonly number[], maxWidth: number): string {
  let line = ''
  let used = 0
  let start = 0
  for (const [column, { text, style }] of row.entries()) {
    if (text !== '' && start < maxWidth) {
      const shown = cut(text, maxWidth - start)
      // Spaces are written only in front of a text, so no line ends with spaces.
      line += ' '.repeat(start - used) + (style === null ? shown : styled(style, shown))
      used = start + stringWidth(shown)
    }
    start += (widths[column] ?? 0) + GAP
  }
  return line
}

function terminalWidth(): number {
  if (!process.stdout.isTTY) return Number.POSITIVE_INFINITY
  // Some terminals report 0.
  return process.stdout.columns || DEFAULT_WIDTH
}

const DEFAULT_WIDTH = 80

const graphemes = new Intl.Segmenter()

/** Shortens a text that is too wide, and ends it with an ellipsis. */
function cut(text: string, maxWidth: number): string {
  if (stringWidth(text) <= maxWidth) return text
  let kept = ''
  for (const { segment } of graphemes.segment(text)) {
    if (stringWidth(kept + segment) > maxWidth - 1) break
    kept += segment
  }
  return `${kept.trimEnd()}…`
}

/** Wraps a text at spaces, and indents every line but the first, which the caller prints after a label. */
export function hanging(text: string, indent: number): string {
  const maxWidth = Math.max(terminalWidth() - indent, MIN_WIDTH)
  const lines: string[] = []
  let line = ''
  for (const word of printableLine(text).split(' ')) {
    if (line !== '' && stringWidth(`${line} ${word}`) > maxWidth) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].join(`\n${' '.repeat(indent)}`)
}

/** A narrower column is unreadable. */
const MIN_WIDTH = 20
