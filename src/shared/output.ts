// The only place where the commands print: data to stdout, messages for people to stderr. Escape sequences in texts are
// removed; only our own styles reach the terminal.
import { styleText } from 'node:util'
import { printableJson, printableLines } from './printable.ts'

export type Style = 'bold' | 'dim' | 'green' | 'red' | 'yellow'

/** Adds the style if stdout is a terminal. styleText honours NO_COLOR. */
export function styled(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stdout })
}

/** The escape sequences of the styles above; 22 and 39 end them. */
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

/** Removes every escape sequence but our own. */
export function clean(text: string): string {
  // With a capturing group, split returns the texts at even places and the sequences at odd ones.
  return text
    .split(STYLE_SEQUENCE)
    .map((part, index) => (index % 2 === 1 ? part : printableLines(part)))
    .join('')
}
