// Lines of CSV, as a spreadsheet and a parser read them.
import { expect, test } from '@jest/globals'
import { csvLine } from '../../src/shared/csv.ts'

test.each([
  ['plain', 'plain'],
  ['', ''],
  [null, ''],
  [42, '42'],
  [-7, '-7'],
  ['a, b', '"a, b"'],
  ['say "hi"', '"say ""hi"""'],
  ['two\nlines', '"two\nlines"'],
  ['two\r\nlines', '"two\r\nlines"'],
  ['…0123', '…0123'],
])('%j is written as %j', (field, written) => {
  expect(csvLine([field])).toBe(`${written}\r\n`)
})

test.each([
  ['=1+1', `'=1+1`],
  ['+12065550100', `'+12065550100`],
  ['-1', `'-1`],
  ['@SUM(A1)', `'@SUM(A1)`],
  ['\tx', `'\tx`],
  ['＝1+1', `'＝1+1`],
  ['=HYPERLINK("http://x.example", "a")', `"'=HYPERLINK(""http://x.example"", ""a"")"`],
  ['\r=1', `"'\r'=1"`],
  ['\n=1', `"'\n'=1"`],
])('the formula %j is written as text: %j', (field, written) => {
  expect(csvLine([field])).toBe(`${written}\r\n`)
})

// In many countries, spreadsheets separate cells by semicolons: a comma, or a quote inside a cell, means nothing then.
test.each([
  ['a;=1+1;b', `a;'=1+1;b`],
  ['{"note":"x;@SUM(A1)"}', `"{""note"":""x;'@SUM(A1)""}"`],
  ['a;"=1+1"', `"a;""'=1+1"""`],
  ['a\t-1', `a\t'-1`],
  ['a\n=1+1', `"a\n'=1+1"`],
  ['a; b', 'a; b'],
  ['2-1=1', '2-1=1'],
])('the formula after another separator in %j is written as text: %j', (field, written) => {
  expect(csvLine([field])).toBe(`${written}\r\n`)
})

test('fields are separated by commas and lines end in CR LF', () => {
  expect(csvLine([1, null, 'x'])).toBe('1,,x\r\n')
})
