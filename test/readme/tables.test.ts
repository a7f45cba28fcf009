// Holds the tables of the documents to the source that they are made from.
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from '@jest/globals'
import { withTables } from './tables.ts'

test.each([
  ['README.md', 1],
  ['docs/configuration.md', 1],
  ['docs/error-codes.md', 3],
])('the tables of %s are those of the source', async (name, tables) => {
  const file = fileURLToPath(new URL(`../../${name}`, import.meta.url))
  const document = await readFile(file, 'utf8')
  const expected = await withTables(document)
  // UPDATE_TABLES=1 npm test -- test/readme/tables.test.ts writes them.
  if (process.env['UPDATE_TABLES'] === '1') await writeFile(file, expected)
  expect(document).toBe(expected)
  expect(document.match(/<!-- table: /g)).toHaveLength(tables)
})
