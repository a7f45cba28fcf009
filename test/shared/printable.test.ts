// Tests that text from outside cannot affect a terminal.
import { isDeepStrictEqual } from 'node:util'
import { describe, expect, test } from '@jest/globals'
import { printableJson, printableLine, printableLines } from '../../src/shared/printable.ts'

const HARMFUL = /(?![\n\t])\p{Cc}|\p{Bidi_Control}/u

describe('text from outside is made printable:', () => {
  test.each([
    ['colours', '\u001b[31mred\u001b[0m', 'red'],
    ['the title of the window', '\u001b]0;owned\u0007text', 'text'],
    ['a link', '\u001b]8;;http://x\u0007here\u001b]8;;\u0007', 'here'],
    ['colours with the other form of ESC [', '\u009b31mred', 'red'],
    [
      'an end of line over the line before',
      'Status delivered\rStatus failed',
      'Status delivered Status failed',
    ],
    ['a bell, a backspace and a delete', 'a\u0007b\bc\u007fd', 'a b c d'],
    ['a device control string', '\u001bPq\u001b\\', 'q \\'],
    ['a bidirectional override', 'user\u202egnp.exe', 'usergnp.exe'],
    ['an isolate', '\u2067abc\u2069', 'abc'],
    ['letters, emoji and accents stay', 'Ça va? 短信 👩‍👩‍👧 שלום', 'Ça va? 短信 👩‍👩‍👧 שלום'],
  ])('%s', (_what, text, expected) => {
    expect(printableLine(text)).toBe(expected)
    expect(printableLines(text)).toBe(expected)
  })

  test('line breaks are kept only by printableLines', () => {
    expect(printableLines('one\n\ttwo')).toBe('one\n\ttwo')
    expect(printableLine('one\n\ttwo')).toBe('one two')
  })

  test('no harmful character is left of any character, and JSON keeps the value', () => {
    // One `expect` for each would take most of this file's time.
    const wrong: object[] = []
    for (let code = 0; code < 0x3000; code += 1) {
      const text = `a${String.fromCharCode(code)}b`
      const printed = printableLines(text)
      const json = printableJson(JSON.stringify({ text }))
      const value: unknown = JSON.parse(json)
      if (HARMFUL.test(printed) || HARMFUL.test(json) || !isDeepStrictEqual(value, { text }))
        wrong.push({ code, printed, json })
    }
    expect(wrong).toEqual([])
  })
})
