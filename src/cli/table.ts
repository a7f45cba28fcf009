// How texts fit the terminal: tables, facts and findings. Widths are counted in columns of the terminal, as Chinese letters
// and emoji take two. What is not printed to a terminal is printed whole: a pipe has no width.
import stringWidth from 'string-width'
import { printableLine } from '../shared/printable.ts'
import { type Style, styled } from '../shared/output.ts'

/** A text, or one with a colour. */
export type Cell = string | { readonly text: string; readonly style: Style }

const GAP = 2

/**
 * Columns as wide as their contents. Where the terminal ends, the columns at the end are cut: the last one is to be the
 * text that can be spared.
 */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const all = [head.map((text): Cell => ({ text, style: 'bold' })), ...rows].map((row) => row.map(printable))
  const widths = head.map((_, column) => Math.max(...all.map((row) => stringWidth(row[column]?.text ?? ''))))
  const most = terminalWidth()
  return all.map((row) => lineOf(row, widths, most)).join('\n')
}

interface PrintableCell {
  readonly text: string
  readonly style: Style | null
}

function printable(cell: Cell): PrintableCell {
  const { text, style } = typeof cell === 'string' ? { text: cell, style: null } : cell
  return { text: printableLine(text), style }
}

function lineOf(row: readonly PrintableCell[], widths: readonly number[], most: number): string {
  let line = ''
  let used = 0
  let owed = 0
  for (const [column, { text, style }] of row.entries()) {
    // Spaces are written when something follows them, so that no line ends with any.
    if (text !== '' && used + owed < most) {
      const shown = cut(text, most - used - owed)
      line += ' '.repeat(owed) + (style === null ? shown : styled(style, shown))
      used += owed + stringWidth(shown)
      owed = 0
    }
    owed = sum(widths.slice(0, column + 1)) + GAP * (column + 1) - used
  }
  return line
}

const sum = (numbers: readonly number[]): number => numbers.reduce((one, other) => one + other, 0)

function terminalWidth(): number {
  if (!process.stdout.isTTY) return Number.POSITIVE_INFINITY
  // 0 from a terminal that does not know.
  return process.stdout.columns || USUAL_WIDTH
}

const USUAL_WIDTH = 80

const graphemes = new Intl.Segmenter()

/** The beginning of the text that fits, with an ellipsis if that is not all of it. */
function cut(text: string, most: number): string {
  if (stringWidth(text) <= most) return text
  let kept = ''
  for (const { segment } of graphemes.segment(text)) {
    if (stringWidth(kept + segment) > most - 1) break
    kept += segment
  }
  return `${kept.trimEnd()}…`
}

/** The text below and beside what stands at its left, which is `indent` columns wide; broken at spaces. */
export function hanging(text: string, indent: number): string {
  const most = Math.max(terminalWidth() - indent, MIN_WIDTH)
  const lines: string[] = []
  let line = ''
  for (const word of printableLine(text).split(' ')) {
    if (line !== '' && stringWidth(`${line} ${word}`) > most) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].join(`\n${' '.repeat(indent)}`)
}

/** A narrower column could not be read. */
const MIN_WIDTH = 20
