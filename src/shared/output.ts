// Where the commands print, and the only place where they do: data to stdout, words for people to stderr. Whatever a text
// holds, nothing but our own colours reaches the terminal as an escape sequence.
import { styleText } from 'node:util'
import { printableJson, printableLines } from './printable.ts'

export type Style = 'bold' | 'dim' | 'green' | 'red' | 'yellow'

/** Colours for a terminal only; styleText honours NO_COLOR. */
export function styled(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stdout })
}

/** The escape sequences of these styles, which end with 22 and 39. */
const STYLE_SEQUENCE = new RegExp(`(${'\u001b'}\\[(?:1|2|22|31|32|33|39)m)`)

export function print(text: string): void {
  process.stdout.write(`${clean(text)}\n`)
}

export function printJson(value: unknown): void {
  process.stdout.write(`${printableJson(JSON.stringify(value, null, 2))}\n`)
}

export function printStatus(text: string): void {
  process.stderr.write(`${clean(text)}\n`)
}

/** Texts in a style alternate with the sequences. */
export function clean(text: string): string {
  return text
    .split(STYLE_SEQUENCE)
    .map((part, index) => (index % 2 === 1 ? part : printableLines(part)))
    .join('')
}
