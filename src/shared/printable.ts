// Text from outside (a row, Twilio, a person's arguments) as a person may see it in a terminal: it moves no cursor, changes
// no title, colours nothing and turns no line around. Everything that is printed or logged as text passes here.
import { stripVTControlCharacters } from 'node:util'

/** On one line, which no text from outside leaves. */
export function printableLine(text: string): string {
  return printableLines(text).replace(/[\n\t]+/g, ' ')
}

/** Lines and tabs stay. Controls become a space; bidirectional controls, which have no width, go. */
export function printableLines(text: string): string {
  return stripVTControlCharacters(text)
    .replace(/(?![\n\t])\p{Cc}+/gu, ' ')
    .replace(/\p{Bidi_Control}+/gu, '')
}

/** JSON escapes the controls below U+0020 only. The value stays the same: these are escapes of JSON's own. */
export function printableJson(json: string): string {
  return json.replace(
    /[\u007f-\u009f\u2028\u2029\p{Bidi_Control}]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
