// Code in documents that is a copy of an example: the examples are compiled and run by tests.
import { expect, test } from '@jest/globals'
import { globSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

test.each([
  ['docs/testing.md', 'examples/testing/**/*.ts', 3],
  ['docs/orm.md', 'examples/orm/*.{ts,prisma}', 4],
])('the code of %s is in %s', async (page, pattern, count) => {
  const examples = await Promise.all(
    globSync(pattern, { cwd: ROOT }).map((file) => readFile(`${ROOT}/${file}`, 'utf8')),
  )
  const text = await readFile(`${ROOT}/${page}`, 'utf8')
  const blocks = [...text.matchAll(/^```(?:ts|prisma)\n(.*?)^```$/gms)].map(([, block = '']) => block)
  expect(blocks).toHaveLength(count)
  expect(blocks.filter((block) => !examples.some((example) => example.includes(block)))).toEqual([])
})
