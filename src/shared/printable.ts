// Makes text from outside (a row, Twilio, arguments) safe for a terminal: removes escape sequences, controls and
// bidirectional controls. Everything that is printed or logged as text passes through here.
import { stripVTControlCharacters } from 'node:util'

/** The text on one line. */
export function printableLine(text: string): string {
  return printableLines(text).replace(/[\n\t]+/g, ' ')
}

/** Keeps line breaks and tabs. Replaces other controls by a space, and removes bidirectional controls. */
export function printableLines(text: string): string {
  return stripVTControlCharacters(text)
    .replace(/(?![\n\t])\p{Cc}+/gu, ' ')
    .replace(/\p{Bidi_Control}+/gu, '')
}

/** Escapes the controls that JSON.stringify leaves, which are those above U+0020. The parsed value stays the same. */
export function printableJson(json: string): string {
  return json.replace(
    /[\u007f-\u009f\u2028\u2029\p{Bidi_Control}]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
