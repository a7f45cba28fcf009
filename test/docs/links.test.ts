// Every link from one document to another file leads somewhere, with its heading.
import { expect, test } from '@jest/globals'
import { existsSync, globSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const pages = ['*.md', 'docs/**/*.md', 'bench/README.md', 'examples/**/*.md']
  .flatMap((pattern) => globSync(pattern, { cwd: ROOT }))
  .toSorted()

/** As GitHub names a heading. */
const anchorOf = (heading: string): string =>
  heading
    .replace(/^#+ /, '')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}_ -]/gu, '')
    .replaceAll(' ', '-')

async function anchorsOf(page: string): Promise<string[]> {
  const text = (await readFile(page, 'utf8')).replace(/^```.*?^```/gms, '')
  return (text.match(/^#+ .*$/gm) ?? []).map(anchorOf)
}

async function leadsSomewhere(page: string, link: string): Promise<boolean> {
  const [path = '', anchor] = link.split('#')
  const file = path === '' ? join(ROOT, page) : join(ROOT, dirname(page), path)
  return existsSync(file) && (anchor === undefined || (await anchorsOf(file)).includes(anchor))
}

test('the documents that are checked include the README, the docs and the decisions', () => {
  expect(pages).toEqual(
    expect.arrayContaining(['README.md', 'docs/how-it-works.md', 'docs/decisions/README.md']),
  )
})

test.each(pages)('the links of %s lead to files and headings that exist', async (page) => {
  const text = await readFile(join(ROOT, page), 'utf8')
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link)
  const broken: string[] = []
  for (const link of links.filter((link) => !/^https?:/.test(link))) {
    if (!(await leadsSomewhere(page, link))) broken.push(link)
  }
  expect(broken).toEqual([])
})
