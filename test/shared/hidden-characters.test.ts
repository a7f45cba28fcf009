// Tests that invisible characters are named, and visible ones of any script are not.
import { describe, expect, test } from '@jest/globals'
import { describeInvisible, describeUnusual, withoutUnusual } from '../../src/shared/hidden-characters.ts'

test.each([
  ['a\u200Bb', 'U+200B ZERO WIDTH SPACE as character 2'],
  ['\uFEFFab', 'U+FEFF ZERO WIDTH NO-BREAK SPACE (byte order mark) as character 1'],
  ['ab\u00A0', 'U+00A0 NO-BREAK SPACE as character 3'],
  ['a\u00ADb', 'U+00AD SOFT HYPHEN as character 2'],
  ['\u202Aab', 'U+202A LEFT-TO-RIGHT EMBEDDING as character 1'],
  ['👍\u200E', 'U+200E LEFT-TO-RIGHT MARK as character 2'],
  ['ab\r', 'U+000D CARRIAGE RETURN as character 3'],
  ['a\0', 'U+0000 NULL as character 2'],
  ['a\u3164', 'U+3164 (invisible) as character 2'],
  ['a\u2800', 'U+2800 (invisible) as character 2'],
])('%j has an invisible character', (text, described) => {
  expect(describeInvisible(text)).toBe(described)
  expect(describeUnusual(text)).toBe(described)
})

test.each([
  ['\u2013to', 'U+2013 EN DASH as character 1'],
  ['“x”', 'U+201C LEFT DOUBLE QUOTATION MARK as character 1'],
  ['AC…', 'U+2026 HORIZONTAL ELLIPSIS as character 3'],
  ['+１', 'a fullwidth character as character 2'],
  ['+１', 'a fullwidth character as character 2'],
  ['+١', 'a digit of another script as character 2'],
  ['−1', 'U+2212 MINUS SIGN as character 1'],
])('%j has a character that looks like an ASCII character', (text, described) => {
  expect(describeInvisible(text)).toBeNull()
  expect(describeUnusual(text)).toBe(described)
})

test.each([
  '',
  'plain text, with -dashes- and "quotes"',
  'münchen',
  'Москва',
  '東京',
  '👍',
  '~!@#$%^&*()',
])('%j has neither invisible nor lookalike characters', (text) => {
  expect(describeUnusual(text)).toBeNull()
})

describe('the text that a person meant', () => {
  test.each([
    ['\u2013to', '-to'],
    ['\u2014json', '-json'],
    ['DATABASE\u200B_URL', 'DATABASE_URL'],
    ['\uFEFFPORT', 'PORT'],
    ['as it is', 'as it is'],
  ])('for %j is %j', (text, meant) => {
    expect(withoutUnusual(text)).toBe(meant)
  })
})
