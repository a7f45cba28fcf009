// How tables and texts fit the terminal, measured in terminal columns. commands.test.ts uses a real terminal.
import { afterEach, describe, expect, test } from '@jest/globals'
import { stripVTControlCharacters } from 'node:util'
import stringWidth from 'string-width'
import { hanging, table } from '../../src/cli/table.ts'

const { isTTY, columns } = process.stdout
afterEach(() => {
  Object.assign(process.stdout, { isTTY, columns })
})

/** Without styles, which depend on where the tests run. */
const plainTable = (...parts: Parameters<typeof table>): string => stripVTControlCharacters(table(...parts))

function inTerminal(width: number): void {
  Object.assign(process.stdout, { isTTY: true, columns: width })
}

function inPipe(): void {
  Object.assign(process.stdout, { isTTY: false, columns: undefined })
}

const HEAD = ['ID', 'REASON']
const LONG = 'The recipient has opted out and nothing helps against that, not even waiting for it'

test('columns are as wide as their contents, and no line ends with spaces', () => {
  inPipe()
  expect(
    table(HEAD, [
      ['1', 'short'],
      ['1234', ''],
      ['', 'last'],
    ]),
  ).toBe(['ID    REASON', '1     short', '1234', '      last'].join('\n'))
})

test('a table in a pipe is never cut', () => {
  inPipe()
  expect(plainTable(HEAD, [['1', LONG.repeat(10)]])).toContain(LONG.repeat(10))
})

describe('a table in a terminal', () => {
  test.each([
    0, 10, 20, 40, 80,
  ])('of %i columns has no wider line, and an ellipsis where text is cut', (width) => {
    inTerminal(width)
    const lines = plainTable(HEAD, [
      ['1', LONG],
      ['2', '短信无法送达'.repeat(10)],
      ['3', '👩‍👩‍👧‍👦'.repeat(50)],
    ]).split('\n')
    for (const line of lines) expect(stringWidth(line)).toBeLessThanOrEqual(width || 80)
    for (const line of lines.slice(1)) expect(line).toMatch(/…$/)
  })

  test('counts two columns for a wide character', () => {
    inTerminal(11)
    expect(plainTable(HEAD, [['1', '短信无法送达']])).toBe(['ID  REASON', '1   短信无…'].join('\n'))
    inTerminal(12)
    expect(plainTable(['短信', 'B'], [['1', 'x']])).toBe(['短信  B', '1     x'].join('\n'))
  })

  test('contains no escape sequences or bells of the texts', () => {
    inTerminal(80)
    expect(plainTable(['A'], [['one\u001b[31m\u0007two\nthree\tfour\u001b]8;;http://x\u0007']])).toBe(
      'A\none two three four',
    )
  })
})

test('hanging wraps a text at spaces into its column', () => {
  inTerminal(30)
  expect(hanging('The recipient has opted out of this', 5)).toBe('The recipient has opted\n     out of this')
  inPipe()
  expect(hanging(LONG, 5)).toBe(LONG)
})
